"""The opening of a live stream: what is refused before any audio comes, and the answer else."""

from app.api.schemas import ModelAnswer
from app.api.stream_messages import ReadyMessage, StreamConfiguration
from app.audio.stream_windows import StreamWindows
from app.audio.wav_header import WAV_HEADER_BYTES
from app.errors import (
    InvalidParameterError,
    SampleRateError,
    StreamTooLargeError,
    TooManyChannelsError,
)
from app.inference.artifact import Manifest
from app.inference.labels import check_labels
from app.inference.store import ModelReference
from app.settings import Settings


def check(configuration: StreamConfiguration, manifest: Manifest, settings: Settings) -> None:
    """Refuse what cannot be classified, before any of it comes.

    Raises:
        SampleRateError: the sample rate is outside the limits.
        TooManyChannelsError: there are more channels than the limit.
        StreamTooLargeError: a window would hold more bytes than the limit.
        InvalidParameterError: the hop is longer than a window, or the model lacks a label.
    """
    lowest, highest = settings.min_sample_rate_hz, settings.max_sample_rate_hz
    if not lowest <= configuration.sample_rate <= highest:
        raise SampleRateError(
            f"sample_rate is {configuration.sample_rate} Hz; from {lowest} to {highest} Hz are "
            "accepted. Resample the audio."
        )
    if configuration.channels > settings.max_channels:
        raise TooManyChannelsError(
            f"channels is {configuration.channels}; at most {settings.max_channels} are accepted. "
            "Send a mix with fewer."
        )
    window_seconds = manifest.front_end_spec.window_seconds
    n_bytes = StreamWindows.window_bytes(configuration.samples, window_seconds)
    most = min(settings.max_stream_bytes, settings.max_upload_bytes - WAV_HEADER_BYTES)
    if n_bytes > most:
        raise StreamTooLargeError(
            f"A window of {window_seconds:g} seconds would hold {n_bytes} bytes; at most "
            f"{most} are accepted. Send fewer channels, or a lower rate."
        )
    if configuration.hop_seconds > window_seconds:
        raise InvalidParameterError(
            f"hop_seconds: it must not be longer than the model's window, which lasts "
            f"{window_seconds:g} seconds."
        )
    check_labels(ModelReference.of(manifest), manifest.labels, configuration.labels or [])


def ready_message(
    configuration: StreamConfiguration, manifest: Manifest, request_id: str
) -> ReadyMessage:
    """Compose the answer to a configuration that may go on."""
    told = configuration.labels or manifest.labels
    return ReadyMessage(
        model=ModelAnswer(name=manifest.name, version=manifest.version),
        labels=[label for label in manifest.labels if label in told],
        window_seconds=manifest.front_end_spec.window_seconds,
        hop_seconds=configuration.hop_seconds,
        sample_rate=configuration.sample_rate,
        encoding=configuration.encoding,
        channels=configuration.channels,
        request_id=request_id,
    )
