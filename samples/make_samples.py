"""Makes the clips in samples/: synthesised here, so that the project carries nobody's recordings.

Each imitates one of the sounds that the shipped model knows, as WAV and as MP3.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import scipy.signal
import soundfile
from numpy.typing import NDArray

Waveform = NDArray[np.float64]

RATE_HZ: Final = 44_100
SECONDS: Final = 4.0
TIME: Final = np.arange(round(RATE_HZ * SECONDS)) / RATE_HZ


def siren(rng: np.random.Generator) -> Waveform:
    """A wailing siren: harmonics whose pitch rises and falls, in a street's echo and hum."""
    pitch_hz = 900 + 450 * np.sin(2 * np.pi * 0.28 * TIME - 1)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    wail = sum((np.sin(k * phase) / k**1.2 for k in range(1, 7)), start=np.zeros_like(TIME))
    return _echo(wail) + 0.25 * _band_noise(rng, 60, 900)


def jackhammer(rng: np.random.Generator) -> Waveform:
    """A jackhammer: some 22 blows a second, each a burst of noise over a ringing of metal."""
    blows = np.zeros_like(TIME)
    starts = np.arange(0, SECONDS - 0.05, 1 / 22) + rng.normal(
        0, 0.001, int((SECONDS - 0.05) * 22) + 1
    )
    for start in starts:
        blows[max(0, round(start * RATE_HZ))] = rng.uniform(0.8, 1.0)
    decay = np.exp(-np.arange(round(0.04 * RATE_HZ)) / (0.007 * RATE_HZ))
    burst = decay * rng.normal(size=len(decay))
    ringing = decay * sum(np.sin(2 * np.pi * hz * TIME[: len(decay)]) for hz in (110, 870, 2_340))
    hammer = scipy.signal.fftconvolve(blows, burst + 0.5 * ringing)[: len(TIME)]
    return _echo(hammer) + 0.06 * _band_noise(rng, 50, 4_000)


def air_conditioner(rng: np.random.Generator) -> Waveform:
    """An air conditioner: broad hiss of moving air over the hum of a compressor."""
    hum = sum(
        (np.sin(2 * np.pi * hz * TIME + hz) / n for n, hz in enumerate((60, 120, 180, 240), 1)),
        start=np.zeros_like(TIME),
    )
    return 0.5 * _band_noise(rng, 80, 1_500) + 0.15 * _band_noise(rng, 1_500, 6_000) + 0.25 * hum


def dog_bark(rng: np.random.Generator) -> Waveform:
    """A barking dog: five short harmonic bursts whose pitch drops, with breath noise."""
    sound = np.zeros_like(TIME)
    for start in (0.3, 0.85, 1.7, 2.3, 3.2):
        length = round(0.19 * RATE_HZ)
        time = TIME[:length]
        pitch_hz = rng.uniform(520, 600) * np.exp(-2.2 * time)
        phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
        voice = sum((np.sin(k * phase) / k**0.7 for k in range(1, 12)), start=np.zeros(length))
        envelope = np.minimum(time / 0.012, 1) * np.exp(-time / 0.07)
        first = round(start * RATE_HZ)
        sound[first : first + length] += envelope * (voice + 0.6 * rng.normal(size=length))
    return _echo(sound) + 0.004 * _band_noise(rng, 50, 3_000)


SAMPLES: Final[dict[str, Callable[[np.random.Generator], Waveform]]] = {
    "siren": siren,
    "jackhammer": jackhammer,
    "air_conditioner": air_conditioner,
    "dog_bark": dog_bark,
}


def main() -> None:
    """Write every sample beside this file."""
    folder = Path(__file__).parent
    for seed, (name, synthesise) in enumerate(SAMPLES.items()):
        rng = np.random.default_rng(seed)
        mono = synthesise(rng)
        stereo = np.stack([mono, np.roll(mono, round(0.0004 * RATE_HZ))], axis=1)
        samples = 0.5 * stereo / np.abs(stereo).max()
        soundfile.write(folder / f"{name}.wav", samples, RATE_HZ, subtype="PCM_16")
        soundfile.write(folder / f"{name}.mp3", samples, RATE_HZ, format="MP3")


def _band_noise(rng: np.random.Generator, low_hz: float, high_hz: float) -> Waveform:
    """Return noise between two frequencies, with a standard deviation of 1."""
    band = scipy.signal.butter(2, (low_hz, high_hz), "bandpass", fs=RATE_HZ, output="sos")
    noise: Waveform = scipy.signal.sosfilt(band, rng.normal(size=len(TIME)))
    normalised: Waveform = noise / noise.std()
    return normalised


def _echo(sound: Waveform) -> Waveform:
    """Add the reflections of a street's walls."""
    response = np.zeros(round(0.25 * RATE_HZ))
    for delay_seconds, gain in (
        (0.0, 1.0),
        (0.031, 0.35),
        (0.077, 0.22),
        (0.143, 0.12),
        (0.21, 0.06),
    ):
        response[round(delay_seconds * RATE_HZ)] = gain
    heard: Waveform = scipy.signal.fftconvolve(sound, response)[: len(sound)]
    return heard


if __name__ == "__main__":
    main()
