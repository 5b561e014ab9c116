"""Labeling jobs and work teams."""
