"""Every address of the site."""

from django.contrib import admin
from django.urls import include, path, re_path

from tasks_app.schema import DocsView, SchemaView
from tasks_app.urls import either
from tasks_app.views import NoSuchView

from . import health, views

urlpatterns = [
    path("", views.live_page, name="live"),
    *either("healthz", health.check, "health"),
    path("admin/", admin.site.urls),
    path("api/", include("tasks_app.urls")),
    path("api/", include("workers_app.api.urls")),
    *either("api/schema", SchemaView.as_view(), "schema"),
    *either("api/docs", DocsView.as_view(), "docs"),
    re_path(r"^api(/|$)", NoSuchView.as_view()),
]
