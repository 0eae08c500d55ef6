"""Sounds that are handed to the page."""

from playwright.sync_api import FilePayload

from tests.conftest import SAMPLES
from tests.sounds import Samples, encode


def sample(name: str) -> FilePayload:
    """Return a file of samples/."""
    kind = {"wav": "audio/wav", "mp3": "audio/mpeg"}[name.rpartition(".")[2]]
    return {"name": name, "mimeType": kind, "buffer": (SAMPLES / name).read_bytes()}


def wav(name: str, samples: Samples, rate_hz: int) -> FilePayload:
    """Return samples `[frames, channels]` in [-1, 1] as a WAV of 16 bits."""
    return {"name": name, "mimeType": "audio/wav", "buffer": encode(samples, rate_hz)}


def text_file() -> FilePayload:
    """Return what is no sound."""
    return {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no sound at all"}
