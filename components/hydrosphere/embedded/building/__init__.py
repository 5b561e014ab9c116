"""Builds: the payload unpacked, and all that is looked at in it; nothing of it is run."""
