"""Arguments and results that only the task itself is to see, and their encryption at rest."""
