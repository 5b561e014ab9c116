"""The embedded SageMaker: what its kinds of resources share, and a package for each kind."""
