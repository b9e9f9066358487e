"""The settings with every application that the dashboard and the admin can make use of."""

from pathlib import Path

from .settings import *  # noqa: F403
from .settings import BASE_DIR, INSTALLED_APPS, MIDDLEWARE, REST_FRAMEWORK, TEMPLATES

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "unfold",  # before admin
    "django.contrib.admin",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
]
MIDDLEWARE = [*MIDDLEWARE, "django.contrib.messages.middleware.MessageMiddleware"]
TEMPLATES[0]["OPTIONS"]["context_processors"] += [
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]
STATIC_ROOT = Path(BASE_DIR, "static")
REST_FRAMEWORK = {
    **REST_FRAMEWORK,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
ROOT_URLCONF = "bookshop.all_urls"
SPECTACULAR_SETTINGS = {
    "PREPROCESSING_HOOKS": ["tasks_app.api.schema.one_of_each"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
