"""The child of a worker that claims tasks, runs and reports them."""
