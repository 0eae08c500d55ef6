"""From a request to a classification: what every route that takes audio has in common."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from fastapi import Request

from app.api.body_schemas import schema_of
from app.api.json_body import JsonUpload
from app.api.multipart import FILE_FIELD, PartLimits
from app.api.options import ClassifyOptions
from app.api.request_context import record_of
from app.api.uploads import Received, receive_upload
from app.audio.signatures import ACCEPTED_FORMATS_IN_WORDS
from app.inference.arena import Block
from app.inference.classification import Classification
from app.service import Service

MAX_BATCH_FILES: Final = 64

_AUDIO: Final[dict[str, Any]] = {
    "type": "string",
    "format": "binary",
    "description": f"{ACCEPTED_FORMATS_IN_WORDS}: the bytes decide, whatever the name and type.",
}
_OPTION_FIELDS: Final[dict[str, Any]] = {
    name: {key: value for key, value in field.items() if (key, value) != ("default", None)}
    for name, field in ClassifyOptions.model_json_schema()["properties"].items()
    if field.get("type") != "array"  # of which a form has a field an item
}


def _form(file: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [FILE_FIELD],
        "properties": {FILE_FIELD: file, **_OPTION_FIELDS},
    }


# The routes read the body themselves, as it arrives, so the document is told of it here.
UPLOAD: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": _form(_AUDIO)},
            "application/octet-stream": {"schema": _AUDIO},
            "application/json": {"schema": schema_of(JsonUpload)},
        },
    }
}
BATCH_UPLOAD: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": _form(
                    {"type": "array", "items": _AUDIO, "minItems": 1, "maxItems": MAX_BATCH_FILES}
                )
            }
        },
    }
}


async def classify_request(
    request: Request,
    service: Service,
    options: ClassifyOptions,
    name: str | None = None,
    version: str | None = None,
    accept: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda parameters: parameters,
) -> tuple[Classification, ClassifyOptions]:
    """Receive a request's audio and classify it.

    Args:
        request: one whose body nobody has read.
        service: what classifies.
        options: those in the query.
        name: a model's, or None for the default.
        version: a number or an alias, or None for what serves.
        accept: makes options of the parameters that the body carried.

    Returns:
        The answer, and the options, with those that the body carried.

    Raises:
        HarkError: there is no answer.
    """
    # What needs no body is said before it is sent, and not only after.
    service.catalogue.resolve(name, version)
    record = record_of(request.scope)
    with service.admitted() as upload:
        received = await _receive(request, service, upload, max_files=1)
        options = options.updated(accept(received.parameters))
        answer = await service.classify(
            name,
            version,
            upload,
            record.received_at + service.settings.deadline_seconds,
            options.cutting,
        )
    stages = answer.stage_seconds
    record.model = answer.model
    record.end_stage(
        "queue",
        decode=stages.decode,
        resample=stages.resample,
        features=stages.features,
        model=stages.model,
    )
    return answer, options


async def classify_files(
    request: Request,
    service: Service,
    options: ClassifyOptions,
    name: str | None = None,
    version: str | None = None,
) -> tuple[list[Classification | Exception], ClassifyOptions]:
    """Receive many files in one form, and classify each for itself; else as `classify_request`."""
    service.catalogue.resolve(name, version)
    record = record_of(request.scope)
    with service.admitted() as upload:
        received = await _receive(request, service, upload, max_files=MAX_BATCH_FILES)
        options = options.updated(received.parameters)
        answers = await service.classify_each(
            name,
            version,
            upload,
            received.extents,
            record.received_at + service.settings.deadline_seconds,
            options.cutting,
        )
    record.end_stage("compute")
    record.model = next((each.model for each in answers if isinstance(each, Classification)), None)
    return answers, options


async def _receive(request: Request, service: Service, upload: Block, max_files: int) -> Received:
    settings = service.settings
    # The files of a batch come beside the parts that every form may have.
    max_parts = settings.max_parts + max_files - 1
    limits = PartLimits(max_parts, settings.max_part_header_bytes, max_files)
    record = record_of(request.scope)
    async with service.receiving():
        received = await receive_upload(request, upload, limits)
    record.upload_bytes = upload.length
    record.end_stage("receive")
    return received
