"""What the embedded S3 holds: objects, folders of this machine, samples."""
