"""Prints a line that keeps a careless regular expression busy for minutes; then waits for ever."""

import time

print("[1] " * 3000, flush=True)
print("said", flush=True)
time.sleep(1000)
