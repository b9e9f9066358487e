"""The tests' settings, for processes that a test starts."""

import json
import os

import dtps_site.settings
from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, DTPS

TASKS = dtps_site.settings.TASKS
DTPS = {
    **DTPS,
    "LEASE_SECONDS": float(os.environ.get("TEST_LEASE_SECONDS", "10")),
    "RENEW_SECONDS": float(os.environ.get("TEST_RENEW_SECONDS", "1")),
    "BACKOFF_SECONDS": 0.01,
    **json.loads(os.environ.get("TEST_DTPS", "{}")),  # any other option
}
if "TEST_DATABASE_NAME" in os.environ:
    DATABASES["default"]["NAME"] = os.environ["TEST_DATABASE_NAME"]
