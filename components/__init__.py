"""One folder is one component; the folder's dotted path is its id (`aws.sagemaker.train`)."""
