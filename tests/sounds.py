"""Sounds for tests: synthesised here, and encoded to the bytes of a file."""

import io
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float64]

# libsndfile's Vorbis encoder overflows its stack on one write of some hundred thousand frames.
WRITE_FRAMES: Final = 1 << 14

FADE_SECONDS: Final = 0.05


def tone(seconds: float, sample_rate_hz: int, channels: int = 1) -> Samples:
    """Return sines `[frames, channels]`, 300 Hz times the channel's number, that fade in and out.

    They begin and end with silence: lossy codecs blur an abrupt edge, and Opus loses the last
    milliseconds.
    """
    time = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    to_nearest_end = np.minimum(time, time[::-1])
    envelope = 0.4 * np.clip(to_nearest_end / FADE_SECONDS - 1, 0, 1)
    return np.stack(
        [envelope * np.sin(2 * np.pi * 300 * (n + 1) * time) for n in range(channels)], axis=1
    )


def noisy_sweep(seconds: float, sample_rate_hz: int, channels: int = 1, seed: int = 0) -> Samples:
    """Return sweeps under noise `[frames, channels]`: every band holds something, at all times."""
    n_frames = round(seconds * sample_rate_hz)
    time = np.arange(n_frames) / sample_rate_hz
    phase = 2 * np.pi * (100 * time + 0.2 * sample_rate_hz * time**2 / seconds)
    sweeps = np.stack([0.4 * np.sin(phase / (n + 1)) for n in range(channels)], axis=1)
    noise = np.random.default_rng(seed).standard_normal((n_frames, channels))
    return np.clip(sweeps + 0.05 * noise, -1, 1)


def buzz(seconds: float, sample_rate_hz: int) -> Samples:
    """Return ten harmonics of 200 Hz `[frames, 1]`, that fade in and out.

    Telephones' codecs are models of a voice, and make little of a pure tone.
    """
    time = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    envelope = 0.1 * np.clip(np.minimum(time, time[::-1]) / FADE_SECONDS - 1, 0, 1)
    number = np.arange(1, 11)
    harmonics = np.cos(2 * np.pi * 200 * number * time[:, np.newaxis] + number**2)
    return envelope[:, np.newaxis] * (harmonics @ (1 / np.sqrt(number)))[:, np.newaxis]


def encode(
    samples: Samples, sample_rate_hz: int, container: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    """Return the bytes of a file that holds `samples`, `[frames]` or `[frames, channels]`."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", sample_rate_hz, channels, format=container, subtype=subtype
    ) as file:
        for start in range(0, len(samples), WRITE_FRAMES):
            file.write(samples[start : start + WRITE_FRAMES])
    return buffer.getvalue()


def patched(data: bytes, offset: int, replacement: bytes) -> bytes:
    """Return `data` with the bytes from `offset` replaced."""
    return data[:offset] + replacement + data[offset + len(replacement) :]


def wav_claiming(
    data: bytes,
    *,
    sample_rate_hz: int | None = None,
    channels: int | None = None,
    riff_bytes: int | None = None,
    data_bytes: int | None = None,
) -> bytes:
    """Return a PCM WAV, as `encode` makes it, whose header says something else."""
    claims = ((4, 4, riff_bytes), (22, 2, channels), (24, 4, sample_rate_hz), (40, 4, data_bytes))
    for offset, width, claim in claims:
        if claim is not None:
            data = patched(data, offset, claim.to_bytes(width, "little"))
    return data


def flac_claiming(data: bytes, total_samples: int) -> bytes:
    """Return a FLAC file whose STREAMINFO claims another length; 0 stands for «not known».

    The block begins after the 4-byte mark and its own 4-byte header; its bits 80 to 143 are the
    rate (20), the channels (3), the width (5) and the total (36).
    """
    offset = 4 + 4 + 80 // 8
    packed = int.from_bytes(data[offset : offset + 8], "big")
    packed = (packed >> 36 << 36) | total_samples
    return patched(data, offset, packed.to_bytes(8, "big"))
