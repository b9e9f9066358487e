"""The bookshop's addresses, with our dashboard below one of them."""

from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("", lambda request: HttpResponse("books"), name="live"),  # a name that we have too
    path("work/", include("dtps_site.dashboard")),  # added
]
