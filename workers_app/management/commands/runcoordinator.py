"""``manage.py runcoordinator``: a coordinator of its own, for workers that have none inside."""

import logging
import os
import socket
from typing import Any

from django.core.management.base import BaseCommand

from ...coordinator.coordinator import main
from ...embedded import server as embedded
from .runworker import set_up_logging

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Record, promote, reap and sample, whenever no other coordinator leads."
    requires_migrations_checks = False

    def handle(self, **options: Any) -> None:
        set_up_logging(options["verbosity"])
        embedded.keep()
        name = f"{socket.gethostname()}-{os.getpid()}"
        logger.info("event=coordinator_ready coordinator=%s", name)
        main(name)
        logger.info("event=coordinator_stopped coordinator=%s", name)
