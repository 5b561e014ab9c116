"""Batch transform jobs, which go through a process that serves."""
