"""`aws.sagemaker.train`: a SageMaker training job."""
