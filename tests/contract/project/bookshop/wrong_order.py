"""The settings with the one mistake in them that is easily made."""

from .settings import *  # noqa: F403
from .settings import INSTALLED_APPS

INSTALLED_APPS = ["channels", *(name for name in INSTALLED_APPS if name != "channels")]
