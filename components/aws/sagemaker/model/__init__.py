"""`aws.sagemaker.model`: a SageMaker model."""
