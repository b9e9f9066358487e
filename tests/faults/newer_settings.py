"""The settings of a deployment that has one app more."""

from tests.workers.process_settings import *  # noqa: F403
from tests.workers.process_settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.newer"]
