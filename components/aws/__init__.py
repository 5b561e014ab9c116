"""Amazon Web Services: the session, the log reader, SageMaker's components and the embedded cloud."""
