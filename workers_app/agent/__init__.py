"""The process on a host that starts and ends workers there: one by one, or as a fleet."""
