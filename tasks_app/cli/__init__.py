"""``manage.py dtps``, as far as it looks at tasks and queues; a command in each file."""
