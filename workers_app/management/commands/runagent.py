"""``manage.py runagent``: lets the API start and stop workers on this host."""

import logging
from typing import Any

from django.core.management.base import BaseCommand

from workers_app import embedded
from workers_app.agent import Agent
from workers_app.foreground import asked_to_end, serve


class Command(BaseCommand):
    help = "Start and stop workers on this host when the API or the page asks for it."

    def handle(self, **options: Any) -> None:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        embedded.ensure()
        agent, asked = Agent(), asked_to_end()
        self.stdout.write(f"Agent {agent.id} is ready to start workers.")
        serve(agent, asked)
        agent.drain(asked)
