"""The site's settings. Environment variables are read here and nowhere else."""

import os
import secrets
from pathlib import Path
from urllib.parse import quote

import dj_database_url
from django import VERSION

from workers_app.places import Places

BASE_DIR = Path(__file__).resolve().parents[1]
VAR_DIR = Path(os.environ.get("DTPS_VAR_DIR") or BASE_DIR / "var").absolute()
PORT = os.environ.get("PORT") or "8080"  # where `manage.py up` listens

# development (the default of a checkout): DEBUG, and who sits at this machine needs no login.
# production: nobody gets in without one, and a careless setting refuses to start.
PROFILE = os.environ.get("DTPS_PROFILE", "development")
DEBUG = PROFILE == "development"


def _list(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or (
    "development only, never for production" if DEBUG else secrets.token_urlsafe(50)
)
ALLOWED_HOSTS = _list("DTPS_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if DEBUG else "")
CSRF_TRUSTED_ORIGINS = _list("DTPS_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "daphne",  # before staticfiles, whose runserver it replaces
    "workers_app",  # before channels, which has a runworker too
    "tasks_app",
    "channels",
    "unfold",  # before admin
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "corsheaders",
    *(["django_tasks"] if VERSION < (6,) else []),
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "dtps_site.urls"
ASGI_APPLICATION = "dtps_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

SQLITE_OPTIONS = {
    "timeout": 20,
    "transaction_mode": "IMMEDIATE",
    # FULL costs nothing in batches, and Redis forgets what was committed.
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
}
DATABASES = {
    "default": dj_database_url.config(
        default=f"sqlite:///{quote(str(VAR_DIR / 'dtps.sqlite3'))}",
        conn_max_age=60,
        conn_health_checks=True,
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS
    VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)  # it opens files, but makes no directory

REDIS_URL = os.environ.get("DTPS_REDIS_URL", "")  # empty: the embedded server
EMBEDDED = Places(VAR_DIR / "valkey")
DTPS = {
    "REDIS_URL": REDIS_URL or EMBEDDED.url,
    "EMBEDDED_DIR": "" if REDIS_URL else str(EMBEDDED.directory),
    "FILES_ROOT": os.environ.get("DTPS_FILES_ROOT", str(BASE_DIR / "docs")),
}

TASKS = {"default": {"BACKEND": "tasks_app.backends.RedisBackend", "QUEUES": []}}

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [DTPS["REDIS_URL"]], "prefix": "dtps-live"},
    }
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = os.environ.get("TZ_NAME", "UTC")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "admin:login"
