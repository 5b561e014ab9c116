"""`aws.sagemaker.process`: a SageMaker processing job."""
