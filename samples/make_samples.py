"""Makes the clips in samples/: synthesised here, so that the project carries nobody's recordings.

Each imitates one of the sounds that the shipped model knows, as WAV and as MP3; `medley.mp3` is a
longer recording, of all of them and a silence.
"""

from collections.abc import Callable, Mapping
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
    """A wailing siren: harmonics whose pitch rises and falls, in a street's echo and rumble."""
    pitch_hz = 790 + 276 * np.sin(2 * np.pi * 0.58 * TIME - 1)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    wail = _harmonics(phase, count=8, rolloff=1.4)
    return _echo(wail / wail.std()) + 0.03 * _band_noise(rng, 50, 540)


def jackhammer(rng: np.random.Generator) -> Waveform:
    """A jackhammer: eleven blows a second, each a burst of noise over a ringing of metal."""
    blows_per_second = 11
    n_blows = round((SECONDS - 0.05) * blows_per_second)
    starts = np.arange(n_blows) / blows_per_second + rng.normal(0, 0.001, n_blows)
    blows = np.zeros_like(TIME)
    blows[np.round(np.abs(starts) * RATE_HZ).astype(int)] = rng.uniform(0.8, 1.0, n_blows)
    decay = np.exp(-TIME[: round(0.06 * RATE_HZ)] / 0.04)
    burst = decay * _band_noise(rng, 100, 2_000)[: len(decay)]
    ringing = decay * sum(np.sin(2 * np.pi * hz * TIME[: len(decay)]) for hz in (110, 870, 2_340))
    hammer = scipy.signal.fftconvolve(blows, burst + 0.1 * ringing)[: len(TIME)]
    return _echo(hammer / hammer.std()) + 0.035 * _band_noise(rng, 50, 6_900)


def car_horn(rng: np.random.Generator) -> Waveform:
    """A car's horn: three blasts of two tones a third apart, rich in harmonics."""
    phase = 2 * np.pi * 396 * TIME
    chord = _harmonics(phase, 11, 0.6) + _harmonics(1.26 * phase + 1, 11, 0.6)
    blasts = (TIME % 1.4 < 1.23).astype(float)
    blasts = scipy.signal.fftconvolve(blasts, np.full(600, 1 / 600), "same")  # no clicks
    return _echo(blasts * chord / chord.std()) + 0.014 * _band_noise(rng, 50, 1_800)


def dog_bark(rng: np.random.Generator) -> Waveform:
    """A barking dog: five short harmonic bursts whose pitch drops, with breath noise."""
    time = TIME[: round(0.135 * RATE_HZ)]
    envelope = np.minimum(time / 0.012, 1) * np.exp(-time / 0.117)
    sound = np.zeros_like(TIME)
    for start in (0.3, 0.85, 1.7, 2.3, 3.2):
        pitch_hz = rng.uniform(330, 380) * np.exp(-3.6 * time)
        voice = _harmonics(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ, count=5, rolloff=0.45)
        first = round(start * RATE_HZ)
        breath = 0.14 * rng.normal(size=len(time))
        sound[first : first + len(time)] += envelope * (voice + breath)
    return _echo(sound / np.abs(sound).max()) + 0.0004 * _band_noise(rng, 50, 3_000)


SAMPLES: Final[dict[str, Callable[[np.random.Generator], Waveform]]] = {
    "siren": siren,
    "jackhammer": jackhammer,
    "car_horn": car_horn,
    "dog_bark": dog_bark,
}


def main() -> None:
    """Write every sample beside this file."""
    folder = Path(__file__).parent
    clips = {}
    for seed, (name, synthesise) in enumerate(SAMPLES.items()):
        rng = np.random.default_rng(seed)
        mono = synthesise(rng)
        stereo = np.stack([mono, np.roll(mono, round(0.0004 * RATE_HZ))], axis=1)
        samples = clips[name] = 0.5 * stereo / np.abs(stereo).max()
        soundfile.write(folder / f"{name}.wav", samples, RATE_HZ, subtype="PCM_16")
        soundfile.write(folder / f"{name}.mp3", samples, RATE_HZ, format="MP3")
    soundfile.write(folder / "medley.mp3", medley(clips), RATE_HZ, format="MP3")


def medley(clips: Mapping[str, Waveform]) -> Waveform:
    """A recording of 20 s, `[frames]`: four sounds, and four seconds of silence before the last.

    A fade keeps their edges from ringing in a resampler, where silence would not be silent.
    """
    to_nearest_end = np.minimum(TIME, TIME[::-1])
    fade = np.clip(to_nearest_end / 0.05, 0, 1)
    silence = np.zeros_like(TIME)
    sounds = [fade * clips[name].mean(axis=1) for name in ("siren", "dog_bark", "jackhammer")]
    horn = fade * clips["car_horn"].mean(axis=1)
    return np.concatenate([*sounds, silence, horn])


def _harmonics(phase: Waveform, count: int, rolloff: float) -> Waveform:
    """Return a sum of harmonics, the k-th of amplitude k ** -rolloff."""
    tones: Waveform = np.sum([np.sin(k * phase) / k**rolloff for k in range(1, count + 1)], axis=0)
    return tones


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
