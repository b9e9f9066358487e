"""How many slots a worker needs, or how many workers a host."""
