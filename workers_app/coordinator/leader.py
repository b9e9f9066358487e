"""Leadership: who does the singleton duties. Held by a lease in Redis, fenced by a term."""

import logging
import secrets

from redis.exceptions import RedisError

from tasks_app.broker import Broker
from tasks_app.broker.answers import Lead
from tasks_app.exceptions import TaskSystemError

logger = logging.getLogger(__name__)


class Candidate:
    """Bids for the lead, and keeps it by bidding again well within ``leader_seconds``."""

    def __init__(self, name: str, broker: Broker):
        # Unique to this start: a lease that an earlier process of this name left is not ours.
        self.name = f"{name}:{secrets.token_hex(4)}"
        self._fleet = broker.fleet
        self.lead: Lead | None = None  # None while somebody else leads, or Redis does not answer
        self.is_answered = True  # whether Redis answered the last bid

    def bid(self) -> Lead | None:
        """Ask for the lead. Return it, the same object as long as it was never lost.

        A renewal that fails counts as lost: for all we know somebody else leads by now.
        """
        try:
            lead = self._fleet.lead(self.name)
            self.is_answered = True
        except (TaskSystemError, RedisError) as error:
            self.is_answered = False
            if self.lead:
                logger.warning("event=lead_given_up term=%d error=%s", self.lead.term, error)
            self.lead = None
            return None
        if not lead:
            if self.lead:
                logger.warning("event=lead_lost term=%d", self.lead.term)
            self.lead = None
        elif self.lead is None or self.lead.term != lead.term:
            self.lead = lead
        return self.lead

    def abdicate(self) -> None:
        """Stop leading, so that another one can start at once."""
        if self.lead is None:
            return
        self.lead = None
        try:
            self._fleet.abdicate(self.name)
        except (TaskSystemError, RedisError) as error:
            logger.info("event=not_abdicated error=%s", error)
