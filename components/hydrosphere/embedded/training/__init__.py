"""Training data: received, read and profiled."""
