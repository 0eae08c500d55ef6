"""Classify one uploaded file."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from app.api.access import MAY_CLASSIFY
from app.api.dependencies import ModelNamePath, ServiceDependency, TopK, VersionPath
from app.api.problems import problem_responses
from app.api.request_context import record_of
from app.api.schemas import ClassificationAnswer
from app.api.uploads import FILE_FIELD, PartLimits, receive_upload
from app.service import Service

# The routes read the body themselves, as it arrives, so the document is told of it here.
_UPLOAD: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FILE_FIELD],
                    "properties": {
                        FILE_FIELD: {
                            "type": "string",
                            "format": "binary",
                            "description": "WAV, MP3, FLAC, Ogg Vorbis, Opus or AIFF. The bytes "
                            "decide, whatever the file's name.",
                        }
                    },
                }
            }
        },
    }
}
_DEFAULT_TOP_K: Final = 5

router = APIRouter(
    prefix="/v1",
    tags=["classify"],
    dependencies=[MAY_CLASSIFY],
    responses=problem_responses(400, 401, 403, 408, 413, 415, 422, 429, 503, 504),
)


@router.post("/classify", openapi_extra=_UPLOAD, response_model=ClassificationAnswer)
async def classify(
    request: Request, service: ServiceDependency, top_k: TopK = _DEFAULT_TOP_K
) -> Response:
    """Say what a sound is, with the default model."""
    return await _classify_upload(request, service, top_k)


@router.post(
    "/models/{name}/classify",
    openapi_extra=_UPLOAD,
    response_model=ClassificationAnswer,
    responses=problem_responses(404),
)
async def classify_with_model(
    request: Request,
    service: ServiceDependency,
    name: ModelNamePath,
    top_k: TopK = _DEFAULT_TOP_K,
) -> Response:
    """Say what a sound is, with the version of a model that serves."""
    return await _classify_upload(request, service, top_k, name)


@router.post(
    "/models/{name}/versions/{version}/classify",
    openapi_extra=_UPLOAD,
    response_model=ClassificationAnswer,
    responses=problem_responses(404),
)
async def classify_with_version(
    request: Request,
    service: ServiceDependency,
    name: ModelNamePath,
    version: VersionPath,
    top_k: TopK = _DEFAULT_TOP_K,
) -> Response:
    """Say what a sound is, with one version of a model, or that of an alias."""
    return await _classify_upload(request, service, top_k, name, version)


async def _classify_upload(
    request: Request,
    service: Service,
    top_k: int,
    name: str | None = None,
    version: str | None = None,
) -> Response:
    settings = service.settings
    record = record_of(request.scope)
    # What needs no body is said before it is sent, and not only after.
    service.catalogue.resolve(name, version)
    with service.admitted() as upload:
        async with service.receiving():
            limits = PartLimits(settings.max_parts, settings.max_part_header_bytes)
            await receive_upload(request, upload, limits)
        record.upload_bytes = upload.length
        record.end_stage("receive")
        answer = await service.classify(
            name, version, upload, record.received_at + settings.deadline_seconds
        )
    stages = answer.stage_seconds
    record.model = answer.model
    record.end_stage("queue", decode=stages.decode, features=stages.features, model=stages.model)
    content = ClassificationAnswer.of(answer, top_k)
    # Not left to FastAPI, which would check once more what was made here.
    return Response(content.model_dump_json(), media_type="application/json")
