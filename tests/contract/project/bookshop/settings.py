"""A bookshop that was there before us; the lines that we need are marked."""

import os
from importlib.util import find_spec
from pathlib import Path

from django import VERSION

BASE_DIR = Path(__file__).resolve().parents[1]
SECRET_KEY = "a secret of the bookshop, for the bookshop alone"
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]

# What other people have written on top of django.tasks, for Django 6.
THIRD_PARTY = [name for name in ("maintenance_tasks", "tasks_monitor") if find_spec(name)]

INSTALLED_APPS = [
    "workers_app",  # added: before channels, which has a runworker too
    "tasks_app",  # added
    "channels",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    *(["django_tasks"] if VERSION < (6,) else []),
    *THIRD_PARTY,
    "bookshop",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
    }
]
ROOT_URLCONF = "bookshop.urls"
ASGI_APPLICATION = "bookshop.asgi.application"
STATIC_URL = "static/"
LOGIN_URL = "/login/"

# The bookshop's own API is open to all; ours is not to become so by that.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.AllowAny"],
    "UNAUTHENTICATED_USER": None,
}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": BASE_DIR / "bookshop.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = os.environ.get("BOOKSHOP_TIME_ZONE", "Asia/Kathmandu")
USE_TZ = os.environ.get("BOOKSHOP_USE_TZ", "1") == "1"

# Added:
BACKEND = "tasks_app.backends.RedisBackend"
TASKS = {
    "default": {"BACKEND": BACKEND, "QUEUES": ["default", "mail"]},
    "reports": {
        "BACKEND": BACKEND,
        "QUEUES": ["reports"],
        "OPTIONS": {"ENQUEUE": "direct"},
    },
    "anything": {"BACKEND": BACKEND, "QUEUES": []},
}
DTPS = {"REDIS_URL": os.environ["BOOKSHOP_REDIS_URL"], "UNKNOWN_TYPE_SECONDS": 2}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [DTPS["REDIS_URL"]]},
    }
}
