"""CloudWatch Logs: its operations, what they are kept in, and the live tail."""
