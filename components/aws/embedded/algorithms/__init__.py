"""Local stand-ins for SageMaker's built-in algorithm images."""
