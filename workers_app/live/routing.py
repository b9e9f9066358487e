"""The addresses of the sockets; any other gets 403."""

from channels.routing import URLRouter
from django.urls import path, re_path

from .consumers import live
from .origins import own_origin_only, refuse

websocket = own_origin_only(URLRouter([path("ws/live", live), re_path("", refuse)]))
