"""`aws.sagemaker.batch_transform`: a SageMaker batch transform."""
