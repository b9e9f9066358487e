"""The duties that one process has for all: to record, promote, reap, reconcile, sample."""
