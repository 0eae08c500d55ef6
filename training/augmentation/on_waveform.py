"""Changes of a clip's waveform: float32 `[n_samples]` to another such array.

Each is a pure function of what it is given; `change_waveform` draws what a recipe leaves open.
Time and pitch are changed by librosa, with a phase vocoder, which smears what begins suddenly.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from training.augmentation.waveform_plan import CHANGE_NAMES, Background, Change, Changes

Waveform = NDArray[np.float32]

_N_FFT: Final = 2048  # librosa's own
_SHORTEST_FRAME: Final = 16
_DECIBELS_OF_REVERBERATION: Final = 60.0  # the fall that a reverberation time is the time of
_COMPRESSOR_SECONDS: Final = 0.02  # long enough not to follow a wave of 50 Hz


def change_waveform(
    waveform: Waveform,
    changes: Changes,
    sample_rate_hz: int,
    seed: Sequence[int],
    read_background: Callable[[], Waveform] | None = None,
) -> Waveform:
    """Return a variant of a clip.

    Args:
        waveform: `[n_samples > 0]`.
        changes: what may be done to it.
        sample_rate_hz: its rate.
        seed: decides what is drawn. Every change has a generator of its own, so that one more or
            less leaves what others do as it is.
        read_background: gives what may be mixed in, at the same rate; needed where it may.

    Returns:
        float32 `[n_samples of the variant]`.
    """
    for name, change in changes.in_order():
        rng = np.random.default_rng([*seed, CHANGE_NAMES.index(name)])
        if rng.random() >= change.probability:
            continue
        if isinstance(change, Background):
            assert read_background is not None
            snr_decibels = rng.uniform(*change.snr_decibels)
            waveform = mix_background(waveform, read_background(), snr_decibels, rng)
        else:
            waveform = _change(name, change, waveform, sample_rate_hz, rng)
    return waveform


def _change(
    name: str, change: Change, waveform: Waveform, sample_rate_hz: int, rng: np.random.Generator
) -> Waveform:
    drawn: dict[str, Any] = {
        field: _draw(field, ends, rng)
        for field, ends in change.model_dump(exclude={"probability"}).items()
    }
    match name:
        case "time_stretch":
            return stretch_time(waveform, drawn["rates"])
        case "pitch_shift":
            return shift_pitch(waveform, drawn["semitones"], sample_rate_hz)
        case "time_shift":
            return shift_time(waveform, drawn["shares"])
        case "room":
            response = room_response(**drawn, sample_rate_hz=sample_rate_hz, rng=rng)
            return add_room(waveform, response)
        case "noise":
            return add_noise(waveform, drawn["snr_decibels"], rng, drawn["exponents"])
        case "compression":
            return compress(waveform, drawn["threshold_decibels"], drawn["ratios"], sample_rate_hz)
        case "gain":
            return change_gain(waveform, drawn["decibels"])
        case _:
            raise ValueError(name)


def _draw(field: str, ends: tuple[float, float], rng: np.random.Generator) -> float:
    if field == "rates":  # half as fast is as far from 1 as twice as fast
        return float(np.exp(rng.uniform(*np.log(ends))))
    return float(rng.uniform(*ends))


def stretch_time(waveform: Waveform, rate: float) -> Waveform:
    """Play a clip `rate` times as fast at the same pitch: `[n]` to `[round(n / rate)]`.

    A clip too short for a frame of a Fourier transform is left as it is.
    """
    from librosa import effects  # slow: by those who need it

    if (n_fft := _frame_for(waveform)) < _SHORTEST_FRAME:
        return waveform
    stretched: Waveform = effects.time_stretch(waveform, rate=rate, n_fft=n_fft)
    return stretched


def shift_pitch(waveform: Waveform, semitones: float, sample_rate_hz: int) -> Waveform:
    """Raise a clip's pitch by `semitones` at the same speed: `[n]` to `[n]`."""
    from librosa import effects

    if (n_fft := _frame_for(waveform)) < _SHORTEST_FRAME:
        return waveform
    shifted: Waveform = effects.pitch_shift(
        waveform, sr=sample_rate_hz, n_steps=semitones, n_fft=n_fft
    )
    return shifted


def _frame_for(waveform: Waveform) -> int:
    """Return the longest power of two samples, up to librosa's frame, that a clip holds."""
    return min(_N_FFT, 1 << (len(waveform).bit_length() - 1))


def shift_time(waveform: Waveform, share: float) -> Waveform:
    """Rotate a clip by a share of its length; later where the share is above 0."""
    return np.roll(waveform, round(share * len(waveform)))


def room_response(
    reverberation_seconds: float,
    direct_to_reverberant_decibels: float,
    sample_rate_hz: int,
    rng: np.random.Generator,
) -> Waveform:
    """Return the impulse response of a room: the direct sound, 1, and decaying noise behind it.

    Source: Moorer, "About This Reverberation Business", Computer Music Journal 3 (2), 1979: a
    hall's response sounds like white noise that decays exponentially.

    Returns:
        float32 `[1 + reverberation_seconds * sample_rate_hz]`.
    """
    n_samples = max(1, round(reverberation_seconds * sample_rate_hz))
    falls = np.linspace(0, -_DECIBELS_OF_REVERBERATION, n_samples)
    tail = rng.standard_normal(n_samples) * 10 ** (falls / 20)
    tail *= 10 ** (-direct_to_reverberant_decibels / 20) / np.sqrt(np.sum(np.square(tail)))
    return np.concatenate([[1.0], tail]).astype(np.float32)


def add_room(waveform: Waveform, response: Waveform) -> Waveform:
    """Have a clip sound in a room, as long as it was."""
    return scipy.signal.fftconvolve(waveform, response)[: len(waveform)].astype(np.float32)


def mix_background(
    waveform: Waveform, background: Waveform, snr_decibels: float, rng: np.random.Generator
) -> Waveform:
    """Put a piece of another recording behind a clip, which is that much louder.

    The piece begins anywhere; a recording that is shorter than the clip begins again.
    """
    n_left = max(1, len(background) - len(waveform) + 1)
    piece = np.resize(background[rng.integers(n_left) :], len(waveform))
    return _add(waveform, piece, snr_decibels)


def add_noise(
    waveform: Waveform, snr_decibels: float, rng: np.random.Generator, exponent: float = 0.0
) -> Waveform:
    """Put noise behind a clip, which is that much louder; its power falls as 1 / f^exponent.

    Source: Timmer and Koenig, "On generating power law noise", Astronomy and Astrophysics 300,
    1995.
    """
    noise = rng.standard_normal(len(waveform), dtype=np.float32)
    if exponent != 0:
        spectrum = scipy.fft.rfft(noise)
        frequencies = np.arange(len(spectrum))
        frequencies[0] = 1  # the mean has a finite share, too
        spectrum *= frequencies ** (-exponent / 2)
        noise = scipy.fft.irfft(spectrum, n=len(noise)).astype(np.float32)
    return _add(waveform, noise, snr_decibels)


def _add(waveform: Waveform, other: Waveform, snr_decibels: float) -> Waveform:
    """Add what has `snr_decibels` less power than the waveform; to or of silence, nothing."""
    powers = [float(np.mean(np.square(sound, dtype=np.float64))) for sound in (waveform, other)]
    if min(powers) == 0:
        return waveform
    level = np.sqrt(powers[0] / powers[1]) * 10 ** (-snr_decibels / 20)
    return waveform + np.float32(level) * other


def change_gain(waveform: Waveform, decibels: float) -> Waveform:
    """Make a clip louder or softer; nothing is clipped at full scale."""
    return waveform * np.float32(10 ** (decibels / 20))


def compress(
    waveform: Waveform, threshold_decibels: float, ratio: float, sample_rate_hz: int
) -> Waveform:
    """Make what is loud in a clip less so, and all of it as powerful as it was.

    Source: Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor Design: A Tutorial and
    Analysis", Journal of the Audio Engineering Society 60 (6), 2012: a feed-forward compressor with
    a hard knee. Its level is the running mean of the power, with one time constant.

    Args:
        waveform: `[n_samples]`.
        threshold_decibels: where compression begins, relative to the clip's loudest moment.
        ratio: how many decibels above the threshold become one.
        sample_rate_hz: the clip's rate.
    """
    power = np.square(waveform, dtype=np.float64)
    stays = np.exp(-1 / (_COMPRESSOR_SECONDS * sample_rate_hz))
    level = scipy.signal.lfilter([1 - stays], [1, -stays], power)
    if len(level) == 0 or level.max() <= 0:
        return waveform
    above = 10 * np.log10(np.maximum(level / level.max(), 1e-12)) - threshold_decibels
    gain = 10 ** (-np.maximum(above, 0) * (1 - 1 / ratio) / 20)
    gain *= np.sqrt(power.sum() / np.sum(power * np.square(gain)))
    compressed: Waveform = waveform * gain.astype(np.float32)
    return compressed
