"""What requests about tasks and queues may hold, and what answers hold: a module for each."""
