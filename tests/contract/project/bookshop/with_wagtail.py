"""The settings with Wagtail, which the bookshop has its pages in."""

from .settings import *  # noqa: F403
from .settings import BASE_DIR, DATABASES, INSTALLED_APPS

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "wagtail.users",
    "wagtail.images",
    "wagtail.search",
    "wagtail.admin",
    "wagtail",
    "modelcluster",
    "taggit",
]
# As `startproject` leaves them, without a word of workers that write there too.
DATABASES = {
    "default": {"ENGINE": DATABASES["default"]["ENGINE"], "NAME": BASE_DIR / "wagtail.sqlite3"}
}
MEDIA_ROOT = BASE_DIR / "media"
WAGTAILADMIN_BASE_URL = "http://localhost"
