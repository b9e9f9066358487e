"""A coordinator of its own, for whoever wants none inside the workers."""

import logging
import os
import socket
from typing import Any

from django.core.management.base import BaseCommand

from workers_app.coordinator import main


class Command(BaseCommand):
    help = "Record, promote, reap and sample, whenever no other coordinator leads."

    def handle(self, *args: Any, **options: Any) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        name = f"{socket.gethostname()}:{os.getpid()}"
        logging.getLogger("workers_app").info("coordinator: %s is ready", name)
        main(name)
