"""What is said over a live stream: JSON in both directions, beside the client's audio."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import from_json

from app.api.dependencies import VERSION_PATTERN
from app.api.options import AnswerOptions, ClassifyOptions, in_words
from app.api.problems import Problem
from app.api.schemas import ClassificationAnswer, LabelProbability, ModelAnswer
from app.audio.stream_windows import SampleFormat, StreamWindow
from app.audio.wav_header import SampleEncoding
from app.errors import InvalidParameterError, MalformedMessageError
from app.inference.classification import Classification

HOW_TO_BEGIN: Final = (
    'Begin with one JSON message, as in {"sample_rate": 16000, "encoding": "pcm_s16le", '
    '"channels": 1}.'
)

Version = Annotated[str, Field(pattern=VERSION_PATTERN, coerce_numbers_to_str=True)]


class StreamConfiguration(AnswerOptions):
    """The first message: what the audio is that will come, and what is to be told of it."""

    sample_rate: int = Field(ge=1, description="Samples a second, of each channel.")
    encoding: SampleEncoding = Field(description="16-bit integers, or 32-bit floats.")
    channels: int = Field(1, ge=1, description="How many channels are interleaved.")
    hop_seconds: float = Field(
        0.5, ge=0.05, le=60, description="From one result to the next; at most a window."
    )
    model: str | None = Field(None, description="A model; else the default one.")
    version: Version | None = Field(
        None, description="A version of it: its number, or an alias; else the one that serves."
    )
    api_key: str | None = Field(
        None, repr=False, description="The key, where it cannot be sent in a header."
    )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the first message.

        Raises:
            MalformedMessageError: it is not a JSON object.
            InvalidParameterError: a field is missing, unknown, or cannot have its value.
        """
        try:
            return cls.model_validate(parse_object(text, HOW_TO_BEGIN))
        except ValidationError as error:
            words = in_words(error.errors(include_input=False), known=cls.model_fields)
            raise InvalidParameterError(words) from None  # the input may hold a key

    @property
    def samples(self) -> SampleFormat:
        """What the bytes will be."""
        return SampleFormat(self.encoding, self.sample_rate, self.channels)

    @property
    def options(self) -> ClassifyOptions:
        """What is told of each window, as for a file."""
        chosen = self.model_fields_set & set(AnswerOptions.model_fields)
        return ClassifyOptions(**self.model_dump(include=chosen))


class ReadyMessage(BaseModel):
    """The answer to the configuration: audio may come."""

    type: Literal["ready"] = "ready"
    model: ModelAnswer
    labels: list[str]
    window_seconds: float
    hop_seconds: float
    sample_rate: int
    encoding: SampleEncoding
    channels: int
    request_id: str


class ResultMessage(BaseModel):
    """What was heard in the window that ends with a hop."""

    type: Literal["result"] = "result"
    start_seconds: float
    end_seconds: float
    label: str
    silence: bool
    uncertain: bool
    probabilities: dict[str, float]
    top: list[LabelProbability]
    model: ModelAnswer

    @classmethod
    def of(
        cls, window: StreamWindow, answer: Classification, options: ClassifyOptions
    ) -> "ResultMessage":
        """Compose the result for a window: in all that both say, what a file's answer says."""
        told = ClassificationAnswer.of(answer, options)
        return cls(
            start_seconds=window.start_seconds,
            end_seconds=window.end_seconds,
            label=told.label,
            silence=told.silence,
            uncertain=told.uncertain,
            probabilities=told.probabilities,
            top=told.top,
            model=told.model,
        )


class DoneMessage(BaseModel):
    """The last message after the client's end."""

    type: Literal["done"] = "done"
    results: int
    audio_seconds: float
    ignored_bytes: int = Field(description="Of a last sample that was not complete.")


class ProblemMessage(BaseModel):
    """Why the stream is about to be closed, in the words that are used over HTTP."""

    type: Literal["problem"] = "problem"
    code: str
    title: str
    detail: str
    error: str
    request_id: str

    @classmethod
    def of(cls, problem: Problem) -> "ProblemMessage":
        """Compose the message; a stream has neither a status nor a path to tell."""
        return cls(**problem.model_dump(include=set(cls.model_fields) - {"type"}))


def parse_object(text: str, how_to: str) -> dict[str, Any]:
    """Parse a message that is to be a JSON object.

    Raises:
        MalformedMessageError: it is none.
    """
    try:
        content = from_json(text, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise MalformedMessageError(f"The message is not valid JSON: {error}. {how_to}") from None
    if not isinstance(content, dict):
        raise MalformedMessageError(f"The message is no JSON object. {how_to}")
    return content
