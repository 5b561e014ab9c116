"""`aws.sagemaker.deploy`: a SageMaker endpoint."""
