"""Benchmarks: what is promised of speed, memory and survival, measured. No test asserts a time.

python -m tests.benchmarks            everything, as the table of docs/performance.md; about eight minutes
python -m tests.benchmarks --write    the same, and the table goes into the page
python -m tests.benchmarks --smoke    everything once and small: only that it works and loses nothing
python -m tests.benchmarks stop logs  some of them
"""
