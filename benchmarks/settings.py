"""The site's settings and the benchmarks' own task types; `__main__` sets the environment."""

from dtps_site.settings import *  # noqa: F403
from dtps_site.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks"]
DEBUG = False
