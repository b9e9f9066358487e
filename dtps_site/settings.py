"""The site's settings. Environment variables are read here and nowhere else."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import dj_database_url
from django import VERSION
from django.core.exceptions import ImproperlyConfigured

from tasks_app.api.rest import REST
from workers_app.embedded.places import Places

BASE_DIR = Path(__file__).resolve().parents[1]
VAR_DIR = Path(os.environ.get("DTPS_VAR_DIR") or BASE_DIR / "var").absolute()
PORT = os.environ.get("PORT") or "8080"  # where `manage.py up` listens


def _list(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in os.environ.get(name, default).split(",") if word.strip()]


def _flag(name: str, default: bool = False) -> bool:
    word = os.environ.get(name, "").strip().lower()
    return word in ("1", "true", "yes", "on") if word else default


# development (the default of a checkout): DEBUG, and who sits at this machine needs no login.
# production: nobody gets in without one, and a careless setting refuses to start.
PROFILE = os.environ.get("DTPS_PROFILE") or "development"
DEVELOPMENT = PROFILE == "development"
DEBUG = _flag("DJANGO_DEBUG", default=DEVELOPMENT)
DTPS_LOCAL_ACCESS = DEVELOPMENT

DEVELOPMENT_KEY = "development only, never for production"
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or (DEVELOPMENT_KEY if DEVELOPMENT else "")
ALLOWED_HOSTS = _list("DTPS_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]" if DEVELOPMENT else "")
CSRF_TRUSTED_ORIGINS = _list("DTPS_TRUSTED_ORIGINS")


def _careless() -> Iterator[str]:
    """What must not be so where strangers can knock."""
    if PROFILE not in ("development", "production"):
        yield f"DTPS_PROFILE is development or production, not {PROFILE}."
    if DEVELOPMENT:
        return
    if len(SECRET_KEY) < 32 or SECRET_KEY.startswith(("django-insecure-", DEVELOPMENT_KEY)):
        yield "DJANGO_SECRET_KEY must be a secret of at least 32 characters."
    if not ALLOWED_HOSTS or any("*" in host for host in ALLOWED_HOSTS):
        yield "DTPS_ALLOWED_HOSTS must name the hosts that this server goes by, without *."
    if DEBUG:
        yield "DJANGO_DEBUG must be off: its pages show settings and source code."


if _found := list(_careless()):
    raise ImproperlyConfigured("Refusing to start. " + " ".join(_found))

INSTALLED_APPS = [
    "daphne",  # before staticfiles, whose runserver it replaces
    "dtps_site",
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
    "dtps_site.hosts.OwnHostOnly",  # first: nothing is for a host that is not ours
    "django.middleware.security.SecurityMiddleware",
    "dtps_site.csp.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "dtps_site.middleware.NeverCached",
    "dtps_site.middleware.Unavailable",
    "corsheaders.middleware.CorsMiddleware",
    "dtps_site.body_limit.BodyLimit",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

# --- who may ask, and how ---

TLS = _flag("DTPS_TLS")  # browsers reach this server by https only
SECURE_SSL_REDIRECT = SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = TLS
SECURE_HSTS_SECONDS = int(os.environ.get("DTPS_HSTS_SECONDS") or 0) if TLS else 0
if _flag("DTPS_TLS_PROXY"):  # a proxy in front ends TLS, and sets this header whatever was sent
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CORS_ALLOWED_ORIGINS = _list("DTPS_CORS_ORIGINS", "http://localhost:3000" if DEVELOPMENT else "")
CORS_URLS_REGEX = r"^/api/"
CORS_EXPOSE_HEADERS = ["Retry-After"]

REST_FRAMEWORK = REST
SPECTACULAR_SETTINGS = {
    "TITLE": "Distributed task processing",
    "DESCRIPTION": "Submit tasks, follow them, and direct the workers that run them.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    # That one sits at this machine is nothing that one could hand over.
    "AUTHENTICATION_WHITELIST": [
        "tasks_app.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "PREPROCESSING_HOOKS": ["tasks_app.api.schema.one_of_each"],
    "ENUM_NAME_OVERRIDES": {
        "TaskStatusEnum": "tasks_app.states.Status",
        "WorkerStatusEnum": "workers_app.api.serializers.WorkerStatus",
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

ROOT_URLCONF = "dtps_site.urls"
ASGI_APPLICATION = "dtps_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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
POSTGRES_OPTIONS = {
    "connect_timeout": 2,  # s, the least that its driver knows
    # A host that is gone without a word is noticed within half a minute, whatever waits for it.
    "keepalives_idle": 10,  # s
    "keepalives_interval": 5,  # s
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # ms
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
elif DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    given = DATABASES["default"].get("OPTIONS", {})  # what its address says counts more
    DATABASES["default"]["OPTIONS"] = POSTGRES_OPTIONS | given

REDIS_URL = os.environ.get("DTPS_REDIS_URL", "")  # empty: the embedded server
EMBEDDED = Places(VAR_DIR / "valkey")
DTPS = {
    "REDIS_URL": REDIS_URL or EMBEDDED.url,
    "EMBEDDED_DIR": "" if REDIS_URL else str(EMBEDDED.directory),
    "FILES_ROOT": os.environ.get("DTPS_FILES_ROOT", str(BASE_DIR / "docs")),
    "SPOOL_DIR": str(VAR_DIR / "spool"),
    "ENCRYPTION_KEYS": _list("DTPS_ENCRYPTION_KEYS"),
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
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "dtps:live"  # for who came to the login by himself
