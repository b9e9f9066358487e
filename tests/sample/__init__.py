"""An app with task types of every awkward kind."""
