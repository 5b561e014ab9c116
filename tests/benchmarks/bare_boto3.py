"""The same with boto3, which knows no asyncio."""

import json
import sys

import boto3

boto3.client("sagemaker").create_training_job(**json.loads(sys.argv[1]))
