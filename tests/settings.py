"""The site's settings, with everything that is written moved into a private directory."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Where processes share the tests, each has its own directory, and what it starts uses that too.
_share = os.environ.get("PYTEST_XDIST_WORKER", "")
if _share != os.environ.setdefault("DTPS_TEST_SHARE", ""):
    os.environ["DTPS_TEST_SHARE"] = _share
    del os.environ["DTPS_VAR_DIR"]

# Short: the path of a Unix socket has room for 107 bytes.
_var = os.environ.get("DTPS_VAR_DIR")
if _var is None:
    _var = tempfile.mkdtemp(prefix="dtps-", dir="/tmp")
    _owner = os.getpid()
    os.environ["DTPS_VAR_DIR"] = _var

    @atexit.register
    def _remove() -> None:
        if os.getpid() == _owner:
            shutil.rmtree(_var, ignore_errors=True)


from dtps_site.settings import *  # noqa: E402, F403
from dtps_site.settings import DATABASES, INSTALLED_APPS, TASKS, VAR_DIR  # noqa: E402

INSTALLED_APPS = [*INSTALLED_APPS, "tests.sample"]

# Most tests run in a transaction that is rolled back, where nothing of an outbox would be pushed.
# test_outbox.py, test_sweeper.py and the tests of real processes have the default.
TASKS = {
    "default": {**TASKS["default"], "OPTIONS": {"ENQUEUE": "direct"}},
}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # A file, since worker processes look at it too.
    DATABASES["default"]["TEST"] = {"NAME": str(Path(VAR_DIR) / "test.sqlite3")}
