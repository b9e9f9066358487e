"""A nemesis and a count: a fleet under random faults for minutes, then the audit of all it did."""
