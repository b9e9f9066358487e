"""Run the benchmarks in a place of their own: a server, a database, nothing of yours touched."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from django.core.management import execute_from_command_line

from tests.redis_server import RedisServer


def main() -> None:
    place = Path(tempfile.mkdtemp(prefix="dtps-bench-", dir="/tmp"))
    server = RedisServer(None, "--appendfsync", "everysec")  # as the embedded one
    try:
        server.start()
        os.environ.update(
            DJANGO_SETTINGS_MODULE="benchmarks.settings",
            DTPS_PROFILE="development",
            DTPS_VAR_DIR=str(place),
            DTPS_REDIS_URL=server.url,
            DATABASE_URL=f"sqlite:///{place / 'bench.sqlite3'}",
        )
        execute_from_command_line(["benchmarks", "bench", *sys.argv[1:]])
    finally:
        server.close()
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
