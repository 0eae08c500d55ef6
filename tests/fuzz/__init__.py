"""Fuzzing: what strangers may send, damaged by libFuzzer and by Hypothesis. See `run.py`."""
