"""Amazon SageMaker's managed jobs as components."""
