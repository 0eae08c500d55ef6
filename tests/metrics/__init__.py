"""Tests of what the service counts."""
