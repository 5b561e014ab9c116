"""`aws.sagemaker.workteam`: a SageMaker private work team."""
