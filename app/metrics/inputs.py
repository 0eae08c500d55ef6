"""Inputs: what a file was, in words of which there are few enough for labels."""

from typing import Final

from app.audio.source import Source

OTHER: Final = "other"
# A live stream's windows, which are no files.
LIVE: Final = "live"

# What decoders call containers, and what people do.
_FORMATS: Final = {
    **dict.fromkeys(("WAV", "WAVEX", "RF64", "W64"), "wav"),
    **{name: name.lower() for name in ("MP3", "FLAC", "OGG", "AIFF", "AU", "CAF")},
    **{name: name.lower() for name in ("WebM", "Matroska", "AAC", "AMR")},
    **dict.fromkeys(("MP4", "M4A", "QuickTime", "3GP"), "mp4"),
}
_SAMPLE_RATES_HZ: Final = (
    *(8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 96_000),
    192_000,
)
_SAMPLE_RATES: Final = {rate: str(rate) for rate in _SAMPLE_RATES_HZ}
_CHANNELS: Final = {1: "1", 2: "2"}

FORMATS: Final = (*dict.fromkeys(_FORMATS.values()), LIVE, OTHER)
SAMPLE_RATES: Final = (*_SAMPLE_RATES.values(), OTHER)
CHANNELS: Final = (*_CHANNELS.values(), OTHER)


def classes_of(source: Source | None, *, is_live: bool = False) -> tuple[str, str, str]:
    """Return a file's format, sample rate and channels as values of labels.

    Args:
        source: what a compute process says of it, which may be anything.
        is_live: whether it is a window of a live stream.
    """
    if source is None:
        return OTHER, OTHER, OTHER
    return (
        LIVE if is_live else _FORMATS.get(source.format, OTHER),
        _SAMPLE_RATES.get(source.sample_rate_hz, OTHER),
        _CHANNELS.get(source.channels, OTHER),
    )
