"""One action on all tasks that a filter finds, done in the background, and kept as a record."""
