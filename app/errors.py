"""The domain's exceptions. Nothing here knows of HTTP: app.api.problems gives each its status.

HarkError
├── AudioError                what was sent cannot be classified
│   ├── NotAudioError             no decoder recognises the bytes
│   ├── DecoderMissingError       the decoder for the format is not installed
│   └── UnusableAudioError        it is audio, but
│       ├── NoAudioTrackError         it is a container with no sound in it
│       ├── EmptyAudioError           it holds no sample
│       ├── TruncatedAudioError       it was cut off before the first sample
│       ├── AudioTooLongError         it lasts longer than the limit
│       ├── TooManySamplesError       it holds more samples, over all channels, than the limit
│       ├── SampleRateError           its sample rate is outside the limits
│       ├── TooManyChannelsError      it has more channels than the limit
│       ├── UnsupportedEncodingError  no decoder here reads its encoding
│       └── InvalidSamplesError       it holds NaN, infinity or absurdly large values
├── RequestError              the request cannot be read
│   ├── MalformedRequestError     it is not HTTP
│   ├── HeadersTooLargeError      more bytes of headers than the limit
│   ├── HeadersTooSlowError       the headers did not arrive in time
│   ├── UpgradeRequiredError      it should have been a WebSocket's
│   ├── StreamError               a live stream breaks its protocol
│   │   ├── MalformedMessageError     a message is not the JSON that it should be
│   │   ├── MisplacedMessageError     a message has no place where it came
│   │   ├── StreamTooLargeError       a window of it holds more bytes than the limit
│   │   └── StreamIdleError           no audio came for a while
│   ├── InvalidParameterError     a parameter has a value that it cannot have
│   └── UploadError               it does not carry one file
│       ├── UploadTooLargeError       more bytes than the limit
│       ├── UploadTooSlowError        the bytes did not arrive in time
│       ├── CompressedUploadError     the body is compressed
│       ├── MalformedUploadError      the multipart body breaks its own rules
│       ├── TooManyPartsError         more parts than the limit
│       ├── PartHeadersTooLargeError  a part has more bytes of headers than the limit
│       ├── MissingFileError          no part named `file`
│       └── DuplicateFileError        more than one part named `file`
├── AccessError               the client may not do this
│   ├── MissingKeyError           no API key was sent
│   ├── UnknownKeyError           the key is none of those that are known
│   ├── ForbiddenError            the key is not for this
│   ├── ForeignOriginError        a page of another origin asks
│   └── RateLimitedError          the client asks more often than it may
├── ModelError                the model asked for cannot be used
│   ├── UnknownModelError         no such name in the store
│   ├── UnknownVersionError       no such version of that model
│   ├── UnknownAliasError         no version has that alias
│   ├── ReloadRefusedError        a newer version is refused, and the one before serves on
│   ├── EngineMissingError        the engine that is to run it is not installed
│   └── ArtifactError             a version's folder is refused
│       ├── IncompleteArtifactError   a file is missing
│       ├── CorruptArtifactError      a file does not match its hash, or cannot be read
│       ├── ForeignArtifactError      it is not an artifact of a kind this release reads
│       ├── InvalidAliasesError       the file of aliases cannot be read
│       └── ProbeMismatchError        the model does not answer as it did when it was exported
└── UnavailableError          the service cannot answer now
    ├── NotReadyError             no compute process has loaded the model yet
    ├── OverloadedError           the queue is full
    ├── TooManyConnectionsError   more connections than the limit
    ├── TooManyStreamsError       more live streams than the limit
    ├── StoppingError             the service has been asked to stop
    ├── WorkerCrashedError        the compute process died over this request
    ├── OutOfMemoryError          the compute process may not take as much memory as this needs
    └── DeadlineExceededError     no answer within the deadline

The message of each is a sentence for the person who sent the request: what is wrong, and what
to do about it. `code` is the same for every error of a class, and is meant for programs.
"""

from typing import ClassVar


def first_line(error: Exception) -> str:
    """Return the first line of what another library's error says; some go on for pages."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class HarkError(Exception):
    """Base of every error that Hark raises on purpose."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"


class AudioError(HarkError):
    """What was sent cannot be classified."""


class NotAudioError(AudioError):
    """No decoder recognises the bytes."""

    code = "not_audio"
    title = "Not an audio file"


class DecoderMissingError(AudioError):
    """The decoder for the format is not installed."""

    code = "decoder_missing"
    title = "The format's decoder is not installed"


class UnusableAudioError(AudioError):
    """The bytes are audio, but cannot be classified."""


class NoAudioTrackError(UnusableAudioError):
    """The file is a container of sound and pictures, and holds no sound."""

    code = "no_audio_track"
    title = "The file holds no sound"


class EmptyAudioError(UnusableAudioError):
    """The audio holds no sample."""

    code = "empty_audio"
    title = "The audio is empty"


class TruncatedAudioError(UnusableAudioError):
    """The audio was cut off before the first sample."""

    code = "truncated_audio"
    title = "The audio was cut off"


class AudioTooLongError(UnusableAudioError):
    """The audio lasts longer than the limit."""

    code = "audio_too_long"
    title = "The audio is too long"


class TooManySamplesError(UnusableAudioError):
    """The audio holds more samples, over all channels, than the limit."""

    code = "too_many_samples"
    title = "The audio holds too many samples"


class SampleRateError(UnusableAudioError):
    """The audio's sample rate is outside the limits."""

    code = "sample_rate_out_of_range"
    title = "The sample rate is outside the limits"


class TooManyChannelsError(UnusableAudioError):
    """The audio has more channels than the limit."""

    code = "too_many_channels"
    title = "The audio has too many channels"


class UnsupportedEncodingError(UnusableAudioError):
    """No decoder here reads the audio's encoding."""

    code = "unsupported_encoding"
    title = "The audio's encoding is not accepted"


class InvalidSamplesError(UnusableAudioError):
    """The audio holds NaN, infinity or absurdly large values."""

    code = "invalid_samples"
    title = "The audio holds values that are no sound"


class RequestError(HarkError):
    """The request cannot be read."""


class MalformedRequestError(RequestError):
    """What was sent is not HTTP."""

    code = "malformed_request"
    title = "The request cannot be read"


class HeadersTooLargeError(RequestError):
    """The request's headers hold more bytes than the limit."""

    code = "headers_too_large"
    title = "The headers are too large"


class HeadersTooSlowError(RequestError):
    """The request's headers did not arrive in time."""

    code = "headers_too_slow"
    title = "The request took too long"


class InvalidParameterError(RequestError):
    """A parameter has a value that it cannot have; the message begins with its name."""

    code = "invalid_parameter"
    title = "A parameter is not valid"


class UpgradeRequiredError(RequestError):
    """The request should have been a WebSocket's."""

    code = "upgrade_required"
    title = "This takes a WebSocket"


class StreamError(RequestError):
    """A live stream breaks its protocol."""


class MalformedMessageError(StreamError):
    """A message is not the JSON that it should be."""

    code = "malformed_message"
    title = "The message cannot be read"


class MisplacedMessageError(StreamError):
    """A message has no place where it came."""

    code = "unexpected_message"
    title = "The message was not expected"


class StreamTooLargeError(StreamError):
    """A window of the stream holds more bytes than the limit."""

    code = "stream_too_large"
    title = "The stream is too large"


class StreamIdleError(StreamError):
    """No audio came for a while."""

    code = "stream_idle"
    title = "The stream was idle"


class UploadError(RequestError):
    """The request does not carry one file."""


class UploadTooLargeError(UploadError):
    """The request holds more bytes than the limit."""

    code = "upload_too_large"
    title = "The upload is too large"


class UploadTooSlowError(UploadError):
    """The request's bytes did not arrive in time."""

    code = "upload_too_slow"
    title = "The upload took too long"


class CompressedUploadError(UploadError):
    """The body is compressed, as its Content-Encoding says."""

    code = "compressed_upload"
    title = "The upload is compressed"


class MalformedUploadError(UploadError):
    """The multipart body breaks its own rules."""

    code = "malformed_upload"
    title = "The upload cannot be read"


class TooManyPartsError(UploadError):
    """The multipart body has more parts than the limit."""

    code = "too_many_parts"
    title = "The upload has too many parts"


class PartHeadersTooLargeError(UploadError):
    """A part's headers hold more bytes than the limit."""

    code = "part_headers_too_large"
    title = "The headers of a part are too large"


class MissingFileError(UploadError):
    """The request has no part named `file`."""

    code = "missing_file"
    title = "No file was sent"


class DuplicateFileError(UploadError):
    """The request has more than one part named `file`."""

    code = "duplicate_file"
    title = "More than one file was sent"


class AccessError(HarkError):
    """The client may not do this."""


class MissingKeyError(AccessError):
    """No API key was sent."""

    code = "missing_key"
    title = "An API key is needed"


class UnknownKeyError(AccessError):
    """The API key is none of those that are known."""

    code = "unknown_key"
    title = "The API key is not known"


class ForbiddenError(AccessError):
    """The API key is not for this."""

    code = "forbidden"
    title = "This is not allowed"


class ForeignOriginError(AccessError):
    """A page of another origin asks, and the operator has not allowed it."""

    code = "foreign_origin"
    title = "This page may not ask"


class RateLimitedError(AccessError):
    """The client asks more often than it may.

    Attributes:
        retry_seconds: when it may ask again.
    """

    code = "rate_limited"
    title = "Too many requests"

    def __init__(self, message: str, *, retry_seconds: int) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class ModelError(HarkError):
    """The model asked for cannot be used."""


class UnknownModelError(ModelError):
    """No model of that name is in the store."""

    code = "unknown_model"
    title = "There is no such model"


class UnknownVersionError(ModelError):
    """The model has no such version."""

    code = "unknown_version"
    title = "There is no such version"


class UnknownAliasError(ModelError):
    """No version of the model has that alias."""

    code = "unknown_alias"
    title = "There is no such alias"


class ReloadRefusedError(ModelError):
    """A newer version is refused, and the one before serves on."""

    code = "reload_refused"
    title = "The new version is refused"


class EngineMissingError(ModelError):
    """The engine that is to run the model is not installed."""

    code = "engine_missing"
    title = "The engine is not installed"


class ArtifactError(ModelError):
    """A version's folder is refused."""

    code = "model_refused"
    title = "The model version is refused"


class IncompleteArtifactError(ArtifactError):
    """A file of the version is missing."""

    code = "model_incomplete"


class CorruptArtifactError(ArtifactError):
    """A file of the version does not match its hash, or cannot be read."""

    code = "model_corrupt"


class ForeignArtifactError(ArtifactError):
    """The folder is not an artifact of a kind that this release reads."""

    code = "model_foreign"


class InvalidAliasesError(ArtifactError):
    """The model's file of aliases cannot be read, or names a version that is not there."""

    code = "model_aliases_invalid"


class ProbeMismatchError(ArtifactError):
    """The model does not answer as it did when it was exported."""

    code = "model_probe_mismatch"


class UnavailableError(HarkError):
    """The service cannot answer now; the same request may succeed later."""


class NotReadyError(UnavailableError):
    """No compute process has loaded the model yet."""

    code = "not_ready"
    title = "The service is not ready"


class OverloadedError(UnavailableError):
    """The queue is full."""

    code = "overloaded"
    title = "The service is busy"


class TooManyConnectionsError(UnavailableError):
    """More connections are open than the limit."""

    code = "too_many_connections"
    title = "The service is busy"


class TooManyStreamsError(UnavailableError):
    """More live streams are open than the limit."""

    code = "too_many_streams"
    title = "The service is busy"


class StoppingError(UnavailableError):
    """The service has been asked to stop."""

    code = "stopping"
    title = "The service is stopping"


class WorkerCrashedError(UnavailableError):
    """The compute process died over this request."""

    code = "worker_crashed"
    title = "The request could not be computed"


class OutOfMemoryError(UnavailableError):
    """The compute process may not take as much memory as this request needs."""

    code = "out_of_memory"
    title = "The request needs too much memory"


class DeadlineExceededError(UnavailableError):
    """No answer came within the deadline.

    Attributes:
        worked_seconds: how much of the time a process worked on it; the rest was waiting.
    """

    code = "deadline_exceeded"
    title = "The request took too long"

    def __init__(self, message: str, *, worked_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.worked_seconds = worked_seconds
