"""The dashboard with its API: ``path("dtps/", include("dtps_site.dashboard"))`` in any project."""

from django.apps import apps
from django.urls import include, path, re_path

from tasks_app.api.urls import either
from tasks_app.api.views import NoSuchView

from . import health, schedules, views, workflows

app_name = "dtps"

urlpatterns = [
    path("", views.live_page, name="live"),
    path("schedules/", schedules.schedules_page, name="schedules-page"),
    path("workflows/", workflows.workflows_page, name="workflows-page"),
    path("workflows/<str:workflow_id>/", workflows.workflow_page, name="workflow-page"),
    *either("healthz", health.check, "health"),
    path("api/", include("tasks_app.api.urls")),
    path("api/", include("workers_app.api.urls")),
]
if apps.is_installed("drf_spectacular"):
    from tasks_app.api.schema import DocsView, SchemaView

    urlpatterns += [
        *either("api/schema", SchemaView.as_view(), "schema"),
        *either("api/docs", DocsView.as_view(url_name="dtps:schema"), "docs"),
    ]
urlpatterns.append(re_path(r"^api(/|$)", NoSuchView.as_view()))
