"""The rounds that a coordinator makes; each is a ``Service``."""
