"""A Redis of our own, for where none is set up: started by its first user, gone after its last."""
