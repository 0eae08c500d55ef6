"""The Open Inference Protocol, version 2: inference, as clients of KServe, Triton and MLServer ask.

Source: https://github.com/kserve/open-inference-protocol
"""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from app.api.access import MAY_CLASSIFY
from app.api.body_schemas import schema_of
from app.api.dependencies import ModelNamePath, ServiceDependency, VersionPath
from app.api.inference_schemas import (
    BINARY_HEADER,
    InferAnswer,
    InferParameters,
    InferRequest,
    ProbabilitiesParameters,
)
from app.api.input_tensors import write_files
from app.api.json_body import parse_object
from app.api.options import in_words
from app.api.output_tensors import render_tensors
from app.api.problems import problem_responses
from app.api.request_context import record_of
from app.api.uploads import receive_body
from app.errors import AudioError, InvalidParameterError, MalformedUploadError
from app.inference.arena import Block
from app.inference.classification import Classification
from app.service import Service

# Half a million take a tenth of a second to parse, in which nobody else is answered.
_MAX_JSON_VALUES: Final = 500_000
_HOW_TO: Final = (
    'Send {"inputs": [{"name": "audio", "datatype": "BYTES", "shape": [1], "data": ["<a file as '
    'base64>"]}]}; many samples as binary data after it.'
)
_PARAMETERS: Final = {*InferParameters.model_fields, *ProbabilitiesParameters.model_fields}

_INFER_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": schema_of(InferRequest)}},
    }
}
_INFER_RESPONSES: Final = {
    **problem_responses(400, 401, 403, 404, 408, 413, 415, 422, 429, 503, 504),
    200: {"content": {"application/octet-stream": {"schema": {"type": "string"}}}},
}

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])


@router.post(
    "/models/{name}/infer",
    dependencies=[MAY_CLASSIFY],
    openapi_extra=_INFER_BODY,
    response_model=InferAnswer,
    responses=_INFER_RESPONSES,
)
async def infer(request: Request, service: ServiceDependency, name: ModelNamePath) -> Response:
    """Say what up to 64 sounds are, with the version of a model that serves."""
    return await _infer(request, service, name)


@router.post(
    "/models/{name}/versions/{version}/infer",
    dependencies=[MAY_CLASSIFY],
    openapi_extra=_INFER_BODY,
    response_model=InferAnswer,
    responses=_INFER_RESPONSES,
)
async def infer_with_version(
    request: Request, service: ServiceDependency, name: ModelNamePath, version: VersionPath
) -> Response:
    """Say what up to 64 sounds are, with one version of a model, or that of an alias."""
    return await _infer(request, service, name, version)


async def _infer(
    request: Request, service: Service, name: str, version: str | None = None
) -> Response:
    # What needs no body is said before it is sent, and not only after.
    service.catalogue.resolve(name, version)
    record = record_of(request.scope)
    with service.admitted() as upload:
        asked, extents = await _receive(request, service, upload)
        answers = await service.classify_each(
            name,
            version,
            upload,
            extents,
            record.received_at + service.settings.deadline_seconds,
            asked.parameters.cutting,
        )
    record.end_stage("compute")
    labels = asked.parameters.labels
    whole = [_raised(answer, asked, place) for place, answer in enumerate(answers)]
    record.model = whole[0].model
    return render_tensors(asked, [each if labels is None else each.only(labels) for each in whole])


async def _receive(
    request: Request, service: Service, upload: Block
) -> tuple[InferRequest, list[tuple[int, int]]]:
    record = record_of(request.scope)
    async with service.receiving():
        await receive_body(request, upload)
    record.upload_bytes = upload.length
    n_json = _json_bytes(request, upload)
    content = parse_object(upload.view()[:n_json], _HOW_TO, _MAX_JSON_VALUES)
    try:
        asked = InferRequest.model_validate(content, strict=True)
    except ValidationError as error:
        raise InvalidParameterError(in_words(error.errors(), known=_PARAMETERS)) from error
    # A copy, since the files are written where it lies.
    binary = memoryview(upload.view()[n_json:].tobytes())
    extents = await write_files(asked, binary, upload)
    record.end_stage("receive")
    return asked, extents


def _json_bytes(request: Request, upload: Block) -> int:
    """Return how many bytes of the body are JSON: all, where no header says another number."""
    said = request.headers.get(BINARY_HEADER)
    if said is None:
        return upload.length
    n_json = int(said) if said.isascii() and said.isdecimal() and len(said) < 12 else -1
    if not 0 < n_json <= upload.length:
        raise MalformedUploadError(
            f"{BINARY_HEADER}: {said[:32]!r} is no number of bytes from 1 to the body's length, "
            f"which is {upload.length}."
        )
    return n_json


def _raised(answer: Classification | Exception, asked: InferRequest, place: int) -> Classification:
    """Return a clip's answer, or raise why there is none: the protocol knows no half answers."""
    if isinstance(answer, AudioError):
        raise type(answer)(f"{asked.inputs[0].name}[{place}]: {answer}") from answer
    if isinstance(answer, Exception):
        raise answer
    return answer
