"""``manage.py screenshot``: pictures of the live page of a running site, for the documentation."""

import os
import shutil
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LONGEST_WAIT_MS = 30_000
# The end of the file's name -> what the page is opened with.
VIEWS: dict[str, dict[str, Any]] = {
    "": {"viewport": {"width": 1440, "height": 1240}, "color_scheme": "dark"},
    "-light": {"viewport": {"width": 1440, "height": 1240}, "color_scheme": "light"},
    "-phone": {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "dark",
        "is_mobile": True,
        "device_scale_factor": 2,
    },
}


class Command(BaseCommand):
    help = "Take pictures of the live page of a running site."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=f"http://127.0.0.1:{settings.PORT}")
        parser.add_argument("--output", default=settings.BASE_DIR / "docs" / "dashboard.png")
        parser.add_argument("--all", action="store_true", help="also light, and as on a phone")

    def handle(self, url: str, output: str | os.PathLike, **options: Any) -> None:
        path = Path(output)
        for ending, view in VIEWS.items() if options["all"] else [("", VIEWS[""])]:
            picture = path.with_stem(path.stem + ending)
            take(url, picture, view)
            self.stdout.write(f"{picture}")


def take(url: str, picture: Path, view: dict[str, Any]) -> None:
    """Save one picture of what a browser shows once the numbers are live. Raise CommandError."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise CommandError("This needs: pip install -r requirements-dev.txt") from error
    unsandboxed = ["--no-sandbox"] if os.geteuid() == 0 else []
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=next(filter(None, map(shutil.which, CHROMIUM)), None),
                args=["--disable-dev-shm-usage", *unsandboxed],
            )
            page = browser.new_page(**view)
            page.goto(url, timeout=LONGEST_WAIT_MS)
            page.wait_for_selector('html[data-connection="live"]', timeout=LONGEST_WAIT_MS)
            page.screenshot(path=picture)
            browser.close()
    except Error as error:
        raise CommandError(f"No picture of {url}: {error.message}") from error
