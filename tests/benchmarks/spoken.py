"""A training job that says when it speaks: a line every half second, its objective in the last one.

    python spoken.py SECONDS

Times are on `time.monotonic`'s clock, which all processes of a machine share.
"""

import os
import sys
import time

trial = os.environ["TRAINING_JOB_NAME"]
until = time.monotonic() + float(sys.argv[1])
while (now := time.monotonic()) < until:
    print(f"{trial} speaks at {now:.6f}", flush=True)
    time.sleep(0.5)
value = float(os.environ["SM_HP_X"])
print(f"objective={(value - 3) ** 2:.6f}", flush=True)
print(f"{trial} ends at {time.monotonic():.6f}", flush=True)
