"""`aws.sagemaker.ground_truth`: a SageMaker Ground Truth labeling job."""
