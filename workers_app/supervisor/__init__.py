"""A worker: a supervisor process with its executors, its lease and its orders."""
