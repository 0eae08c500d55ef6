"""What requests and answers of the Open Inference Protocol look like.

Source: https://github.com/kserve/open-inference-protocol, and Triton's extensions for binary data
and for classifications.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from app.api.classification import MAX_BATCH_FILES
from app.api.options import CuttingOptions, Unset

# Says how many bytes of a body are JSON, where binary data come after it.
BINARY_HEADER: Final = "Inference-Header-Content-Length"
_LARGEST_RATE_HZ: Final = 1_000_000_000  # a WAV's header has 32 bits for four times as much


def _require_data(schema: dict[str, Any]) -> None:
    """Ask for `data` in the document, which describes bodies of JSON alone."""
    schema["required"].append("data")
    del schema["properties"]["data"]["default"]


def _whole(value: Any) -> Any:
    """Take 16000.0 for 16000, as JSON does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_NEEDS_DATA = ConfigDict(json_schema_extra=_require_data)

Datatype = Literal["FP32", "BYTES", "BOOL"]
Positive = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
SampleRate = Annotated[
    int, Field(ge=1, le=_LARGEST_RATE_HZ, examples=[16_000]), BeforeValidator(_whole)
]
BinaryData = Annotated[
    bool, Field(description="Whether to answer with binary data, after the JSON.")
]


class InferParameters(CuttingOptions):
    """Options for a whole request."""

    sample_rate: Unset[SampleRate] = Field(
        None, description="Of the tensor `samples`, in Hz, where that does not say it itself."
    )
    binary_data_output: BinaryData = False


class InputParameters(BaseModel):
    """What is said of an input tensor."""

    # In place of `data`: of no use in a body that is JSON alone, which the document describes.
    binary_data_size: SkipJsonSchema[int | None] = Field(None, ge=0)
    sample_rate: Unset[SampleRate] = Field(None, description="Of the samples, in Hz.")


class FilesInput(BaseModel):
    """Audio files, in any format that is known here."""

    model_config = _NEEDS_DATA

    name: Literal["audio"]
    datatype: Literal["BYTES"]
    shape: list[Positive] = Field(
        min_length=1, max_length=2, description="`[n]` or `[n, 1]`.", examples=[[1]]
    )
    parameters: InputParameters = Field(default_factory=InputParameters)
    data: Annotated[
        Any,
        WithJsonSchema(
            {
                "type": "array",
                "items": {"type": "string", "format": "base64-audio"},
                "minItems": 1,
                "maxItems": MAX_BATCH_FILES,
                "description": "Each file as base64.",
            }
        ),
    ] = None


class SamplesInput(BaseModel):
    """Samples of one channel, full scale being 1."""

    model_config = _NEEDS_DATA

    name: Literal["samples"]
    datatype: Literal["FP32"]
    shape: list[Positive] = Field(
        min_length=1,
        max_length=2,
        description="`[n_samples]`, or `[n, n_samples]` for `n` clips.",
        examples=[[4]],
    )
    parameters: InputParameters = Field(default_factory=InputParameters)
    data: Annotated[
        Any,
        WithJsonSchema(
            {
                "type": "array",
                "items": {"type": "number", "minimum": -1e6, "maximum": 1e6},
                "minItems": 1,
                "description": "Clip by clip, flat or nested.",
                "examples": [[0.0, 0.5, 0.0, -0.5]],
            }
        ),
    ] = None


class PlainOutputParameters(BaseModel):
    """How an output is to be answered."""

    model_config = ConfigDict(extra="forbid")

    binary_data: Unset[BinaryData] = None


class ProbabilitiesParameters(PlainOutputParameters):
    """How the probabilities are to be answered."""

    classification: Unset[Positive] = Field(
        None,
        description="Answer with so many of the most probable labels instead, highest first: "
        "BYTES `[n, k]`, each «probability:index:label».",
    )


class ProbabilitiesOutput(BaseModel):
    """The wish for the probabilities."""

    name: Literal["probabilities"]
    parameters: ProbabilitiesParameters = Field(default_factory=ProbabilitiesParameters)


class PlainOutput(BaseModel):
    """The wish for another output."""

    name: Literal["labels", "label", "silence", "uncertain"]
    parameters: PlainOutputParameters = Field(default_factory=PlainOutputParameters)


AudioInput = Annotated[FilesInput | SamplesInput, Field(discriminator="name")]
WantedOutput = Annotated[ProbabilitiesOutput | PlainOutput, Field(discriminator="name")]


class InferRequest(BaseModel):
    """A tensor of audio files, or one of samples."""

    id: Unset[str] = Field(None, description="Comes back with the answer.")
    parameters: InferParameters = Field(default_factory=InferParameters)
    inputs: list[AudioInput] = Field(
        min_length=1, max_length=1, description="One tensor: `audio` or `samples`."
    )
    outputs: list[WantedOutput] = Field(
        [], description="Those that are wanted, by name; all where none is named."
    )


class TensorAnswer(BaseModel):
    """An output tensor."""

    name: str
    datatype: Datatype
    shape: list[int]
    parameters: dict[str, int] | SkipJsonSchema[None] = Field(
        None, description="`binary_data_size`, where the data come after the JSON."
    )
    data: list[float] | list[str] | list[bool] | SkipJsonSchema[None] = Field(
        None, description="Flat."
    )


class InferAnswer(BaseModel):
    """What the sounds are."""

    id: str | SkipJsonSchema[None] = None
    model_name: str
    model_version: str
    outputs: list[TensorAnswer]


class ServerLive(BaseModel):
    """The HTTP process answers."""

    live: bool = True


class ServerReady(BaseModel):
    """Requests are answered."""

    ready: bool = True


class ModelReady(BaseModel):
    """Requests to a model are answered."""

    name: str
    ready: bool = True


class ServerMetadata(BaseModel):
    """What the server is."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """What a tensor is like; -1 stands for a length that varies."""

    name: str
    datatype: Datatype
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and answers: one of the inputs, and all outputs."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    labels: list[str] = Field(description="In the order of the model's outputs.")
