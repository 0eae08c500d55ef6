"""Classify one uploaded file."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response

from app.api.dependencies import ModelNamePath, ServiceDependency, TopK, VersionPath
from app.api.problems import problem_responses
from app.api.schemas import ClassificationAnswer
from app.api.uploads import FILE_FIELD, receive_upload
from app.inference.store import ModelReference
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
    prefix="/v1", tags=["classify"], responses=problem_responses(400, 408, 413, 415, 422, 503, 504)
)


@router.post("/classify", openapi_extra=_UPLOAD, response_model=ClassificationAnswer)
async def classify(
    request: Request, service: ServiceDependency, top_k: TopK = _DEFAULT_TOP_K
) -> Response:
    """Say what a sound is, with the default model."""
    return await _classify_upload(request, service, service.resolve(), top_k)


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
    """Say what a sound is, with a model's newest version."""
    return await _classify_upload(request, service, service.resolve(name), top_k)


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
    """Say what a sound is, with one version of a model."""
    return await _classify_upload(request, service, service.resolve(name, version), top_k)


async def _classify_upload(
    request: Request, service: Service, model: ModelReference, top_k: int
) -> Response:
    settings = service.settings
    service.workers.check_ready()  # before the body is sent, and not only after it
    with service.admitted() as upload:
        await receive_upload(request, upload, settings.max_upload_bytes, settings.upload_seconds)
        answer = ClassificationAnswer.of(await service.classify(model, upload), top_k)
    # Not left to FastAPI, which would check once more what was made here.
    return Response(answer.model_dump_json(), media_type="application/json")
