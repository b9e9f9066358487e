"""The API's addresses for workers and the whole system, below ``/api/``."""

from tasks_app.api.urls import either

from . import views

urlpatterns = [
    *either("workers", views.WorkersView.as_view(), "workers"),
    *either("workers/start", views.StartView.as_view(), "worker-start"),
    *either("workers/stop", views.StopView.as_view(), "worker-stop"),
    *either("workers/pause", views.PauseView.as_view(), "worker-pause"),
    *either("workers/resume", views.ResumeView.as_view(), "worker-resume"),
    *either("workers/restart", views.RestartView.as_view(), "worker-restart"),
    *either("workers/scale", views.ScaleView.as_view(), "worker-scale"),
    *either("workers/stacks", views.StacksView.as_view(), "worker-stacks"),
    *either("workers/decisions", views.DecisionsView.as_view(), "worker-decisions"),
    *either("metrics", views.MetricsView.as_view(), "metrics"),
    *either("debug", views.DebugView.as_view(), "debug"),
    *either("system/reset", views.ResetView.as_view(), "system-reset"),
]
