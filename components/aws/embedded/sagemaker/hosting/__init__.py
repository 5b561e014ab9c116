"""Models, endpoints, and the processes that serve."""
