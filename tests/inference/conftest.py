"""Fixtures of the inference tests."""

from tests.tiny_model import tiny as tiny
