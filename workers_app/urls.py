"""The API's addresses for workers and the whole system, below ``/api/``."""

from tasks_app.urls import either

from . import api

urlpatterns = [
    *either("workers", api.WorkersView.as_view(), "workers"),
    *either("workers/start", api.StartView.as_view(), "worker-start"),
    *either("workers/stop", api.StopView.as_view(), "worker-stop"),
    *either("workers/pause", api.PauseView.as_view(), "worker-pause"),
    *either("workers/resume", api.ResumeView.as_view(), "worker-resume"),
    *either("workers/restart", api.RestartView.as_view(), "worker-restart"),
    *either("workers/scale", api.ScaleView.as_view(), "worker-scale"),
    *either("workers/stacks", api.StacksView.as_view(), "worker-stacks"),
    *either("workers/decisions", api.DecisionsView.as_view(), "worker-decisions"),
    *either("metrics", api.MetricsView.as_view(), "metrics"),
    *either("debug", api.DebugView.as_view(), "debug"),
    *either("system/reset", api.ResetView.as_view(), "system-reset"),
]
