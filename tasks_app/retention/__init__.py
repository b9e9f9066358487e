"""How long the history keeps what has ended, and how it forgets."""
