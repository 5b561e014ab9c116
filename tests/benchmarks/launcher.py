"""Starts a command and tells, on a file descriptor, when it started and how it ended.

It stands between the benchmarks and what they measure because Linux counts the memory of whoever starts a process
towards that process's peak: ours would hide theirs. This one has about 9 MiB.
"""

import json
import os
import sys
import time


def main() -> None:
    report = int(sys.argv[1])
    os.set_inheritable(report, False)
    began = time.monotonic()
    pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
    os.write(report, (json.dumps({"pid": pid, "began": began}) + "\n").encode())
    _, status, usage = os.wait4(pid, 0)
    ended = time.monotonic()
    code = os.waitstatus_to_exitcode(status)
    told = {"code": code, "at": ended, "peak": usage.ru_maxrss / 1024, "cpu": usage.ru_utime + usage.ru_stime}
    os.write(report, (json.dumps(told) + "\n").encode())


if __name__ == "__main__":
    main()
