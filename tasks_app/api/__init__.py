"""The REST API over tasks: addresses, doors, what requests may hold and what answers hold."""
