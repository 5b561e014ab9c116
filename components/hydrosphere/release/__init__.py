"""Releases a version of a model."""
