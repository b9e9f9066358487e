"""The REST API over workers and the whole system."""
