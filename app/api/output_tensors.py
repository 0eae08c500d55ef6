"""Output tensors of the Open Inference Protocol: answers, in JSON or as bytes after it."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Response

from app.api.inference_schemas import (
    BINARY_HEADER,
    Datatype,
    InferAnswer,
    InferRequest,
    ProbabilitiesOutput,
    TensorAnswer,
    TensorMetadata,
)
from app.inference.classification import Classification

_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Tensor:
    """An output, with its elements row by row."""

    name: str
    datatype: Datatype
    shape: list[int]
    values: list[Any]

    def answer(self, binary: bytes | None) -> TensorAnswer:
        """Describe it, with its elements unless they come after the JSON."""
        # Not validated once more: what is in it was made here.
        return TensorAnswer.model_construct(
            name=self.name,
            datatype=self.datatype,
            shape=self.shape,
            parameters=None if binary is None else {"binary_data_size": len(binary)},
            data=self.values if binary is None else None,
        )

    def to_bytes(self) -> bytes:
        """Return its elements as the extension for binary data has them."""
        if self.datatype == "FP32":
            return struct.pack(f"<{len(self.values)}f", *self.values)
        if self.datatype == "BOOL":
            return bytes(self.values)
        encoded = [value.encode() for value in self.values]
        return b"".join(_LENGTH.pack(len(each)) + each for each in encoded)


def describe_outputs(n_labels: int) -> list[TensorMetadata]:
    """Say what outputs there are, for any number of clips."""
    return [
        TensorMetadata(name="probabilities", datatype="FP32", shape=[-1, n_labels]),
        TensorMetadata(name="labels", datatype="BYTES", shape=[n_labels]),
        TensorMetadata(name="label", datatype="BYTES", shape=[-1]),
        TensorMetadata(name="silence", datatype="BOOL", shape=[-1]),
        TensorMetadata(name="uncertain", datatype="BOOL", shape=[-1]),
    ]


def render_tensors(asked: InferRequest, answers: Sequence[Classification]) -> Response:
    """Return the outputs that are asked for, of `n` clips."""
    tensors = []
    binary = []
    for tensor, in_binary in _wanted(asked, answers):
        data = tensor.to_bytes() if in_binary else None
        tensors.append(tensor.answer(data))
        binary.append(data or b"")
    model = answers[0].model
    answer = InferAnswer.model_construct(
        id=asked.id, model_name=model.name, model_version=str(model.version), outputs=tensors
    )
    content = answer.model_dump_json(exclude_none=True).encode()
    if not any(tensor.parameters for tensor in tensors):
        return Response(content, media_type="application/json")
    return Response(
        content + b"".join(binary),
        media_type="application/octet-stream",
        headers={BINARY_HEADER: str(len(content))},
    )


def _wanted(asked: InferRequest, answers: Sequence[Classification]) -> list[tuple[Tensor, bool]]:
    """Return the outputs that are asked for, and whether each is to be binary."""
    known = _outputs_of(answers)
    by_default = asked.parameters.binary_data_output
    if not asked.outputs:
        return [(tensor, by_default) for tensor in known.values()]
    wanted = []
    for output in asked.outputs:
        tensor = known[output.name]
        if isinstance(output, ProbabilitiesOutput) and output.parameters.classification:
            tensor = _most_probable(answers, output.parameters.classification)
        in_binary = output.parameters.binary_data
        wanted.append((tensor, by_default if in_binary is None else in_binary))
    return wanted


def _outputs_of(answers: Sequence[Classification]) -> dict[str, Tensor]:
    """Return what there is to say of `n` clips, by name."""
    labels = list(answers[0].probabilities)
    n = len(answers)
    probabilities = [p for answer in answers for p in answer.probabilities.values()]
    tensors = (
        Tensor("probabilities", "FP32", [n, len(labels)], probabilities),
        Tensor("labels", "BYTES", [len(labels)], labels),
        Tensor("label", "BYTES", [n], [answer.label for answer in answers]),
        Tensor("silence", "BOOL", [n], [answer.silence for answer in answers]),
        Tensor("uncertain", "BOOL", [n], [answer.uncertain for answer in answers]),
    )
    return {tensor.name: tensor for tensor in tensors}


def _most_probable(answers: Sequence[Classification], k: int) -> Tensor:
    """Return the extension for classifications' tensor in place of the probabilities'."""
    index = {label: place for place, label in enumerate(answers[0].probabilities)}
    k = min(k, len(index))
    values = [f"{p:f}:{index[label]}:{label}" for each in answers for label, p in each.top(k)]
    return Tensor("probabilities", "BYTES", [len(answers), k], values)
