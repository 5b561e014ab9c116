"""`aws.sagemaker.stop`: stops what a pipeline run still has running, or jobs by name."""
