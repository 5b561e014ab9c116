"""Hydrosphere: components that release models to its platform."""
