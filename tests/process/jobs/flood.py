"""Prints far more than a pipe holds, then goes on quietly."""

import sys
import time

for number in range(20_000):
    sys.stdout.write(f"flood {number:06} {'x' * 80}\n")
sys.stdout.flush()
while True:
    time.sleep(1)
