"""Hyperparameter tuning jobs, whose trials are training jobs."""
