"""Benchmarks: Hark beside what its users would pick instead, and beside the limit."""
