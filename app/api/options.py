"""What a client may choose: the same options by the same names, however a request comes in."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from fastapi import Query
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from app.audio.cutting import Cutting
from app.errors import InvalidParameterError
from app.inference.events import DEFAULT_THRESHOLD
from app.inference.labels import split_labels

AnswerFormat = Literal["json", "csv", "audacity"]

_LONGEST_SECONDS: Final = 86_400.0
_T = TypeVar("_T")


class _NotGiven:
    """Keeps None out of the document: it stands for what is not given, and cannot be sent."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        document = handler(schema)
        return {**document.pop("anyOf")[0], **document}


def _refuse_truth(value: Any) -> Any:
    """Keep JSON's true and false from passing for 1 and 0."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "Input should be a valid number")
    return value


Unset = Annotated[_T | None, _NotGiven()]


class LabelOptions(BaseModel):
    """Which labels are told of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    labels: Unset[list[Annotated[str, Field(json_schema_extra={"format": "label"})]]] = Field(
        None,
        min_length=1,
        max_length=1000,
        description="Answer for these labels only, given once each or separated by commas. Their "
        "probabilities stay what they are among all labels.",
        examples=[["siren", "car_horn"]],
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_null(cls, options: Any) -> Any:
        """Take null for what is not given, as many JSON libraries write it."""
        if not isinstance(options, dict):
            return options
        optional = {name for name, field in cls.model_fields.items() if field.default is None}
        return {
            name: value
            for name, value in options.items()
            if value is not None or name not in optional
        }

    @field_validator("labels", mode="before")
    @classmethod
    def _split(cls, labels: Any) -> Any:
        listed = [labels] if isinstance(labels, str) else labels
        if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
            return labels  # for the type's own complaint
        return split_labels(listed)


class AnswerOptions(LabelOptions):
    """How much of the answer is told."""

    top_k: int = Field(
        5, ge=1, le=1000, description="How many labels `top` names at the most.", examples=[3]
    )
    threshold: Unset[float] = Field(
        None,
        ge=0,
        le=1,
        description="The least probability of what `top` names, and of `events` (0.5 there, where "
        "none is given).",
        examples=[0.3],
    )

    _numbers = field_validator("top_k", "threshold", mode="before")(_refuse_truth)

    @property
    def event_threshold(self) -> float:
        """How probable a label must be in a window to be an event."""
        return DEFAULT_THRESHOLD if self.threshold is None else self.threshold


class CuttingOptions(LabelOptions):
    """What is looked at, and which labels are told of."""

    hop_seconds: Unset[float] = Field(
        None,
        ge=0.05,
        le=60,
        description="From the start of one window to that of the next, at most a window; a whole "
        "window where none is given.",
        examples=[1.0],
    )
    start_seconds: float = Field(
        0.0, ge=0, le=_LONGEST_SECONDS, description="Where in the audio to begin.", examples=[0.5]
    )
    end_seconds: Unset[float] = Field(
        None,
        gt=0,
        le=_LONGEST_SECONDS,
        description="Where in the audio to end; its own end where none is given.",
        examples=[3.5],
    )

    _numbers_of_seconds = field_validator(
        "hop_seconds", "start_seconds", "end_seconds", mode="before"
    )(_refuse_truth)

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.end_seconds is not None and self.end_seconds <= self.start_seconds:
            raise ValueError("end_seconds must come after start_seconds")
        return self

    @property
    def cutting(self) -> Cutting:
        """Which part of the audio is looked at, and in which windows."""
        return Cutting(self.start_seconds, self.end_seconds, self.hop_seconds)


class ClassifyOptions(AnswerOptions, CuttingOptions):
    """What is looked at, and how much of the answer is told."""

    # 1 and 0 are customary in URLs.
    windows: Annotated[bool, WithJsonSchema({"enum": [True, False, 1, 0], "examples": [True]})] = (
        Field(False, description="Whether to answer for each window too.", examples=[True])
    )

    def updated(self, parameters: Mapping[str, Any]) -> "ClassifyOptions":
        """Return the options with those replaced that a body carries.

        Raises:
            InvalidParameterError: there is no such option, or it cannot have that value.
        """
        if not parameters:
            return self
        options = {name: getattr(self, name) for name in self.model_fields_set & _NAMES}
        try:
            return ClassifyOptions.model_validate({**options, **parameters})
        except ValidationError as error:
            raise InvalidParameterError(in_words(error.errors())) from error


class QueryOptions(ClassifyOptions):
    """The same, and the form of the answer."""

    format: Unset[AnswerFormat] = Field(
        None,
        description="The form of the answer: `json`; `csv`, with a row for each event (for each "
        "window, with `windows`); or `audacity`, the events as a label track. Where none is given, "
        "the Accept header decides.",
        examples=["csv"],
    )


_NAMES: Final = frozenset(ClassifyOptions.model_fields)
Options = Annotated[ClassifyOptions, Query()]
RenderedOptions = Annotated[QueryOptions, Query()]


def in_words(
    errors: Iterable[Mapping[str, Any]], n_outer: int = 0, known: Iterable[str] = _NAMES
) -> str:
    """Say which parameters are wrong and why, in a sentence.

    Args:
        errors: as pydantic tells them.
        n_outer: how many parts of each place say where the parameters came from.
        known: the names of those that there are.
    """
    complaints = []
    for error in errors:
        name = ".".join(str(part) for part in error["loc"][n_outer:])
        complaint = error["msg"].removeprefix("Value error, ")
        if error["type"] == "extra_forbidden":
            complaint = f"there is no such parameter. There is: {', '.join(sorted(known))}"
        complaints.append(f"{name[:64]}: {complaint}" if name else complaint)
    return "; ".join(complaints) + "."
