"""Classify one uploaded file."""

from fastapi import APIRouter, Request, Response

from app.api.access import MAY_CLASSIFY
from app.api.classification import UPLOAD, classify_request
from app.api.dependencies import ModelNamePath, ServiceDependency, VersionPath
from app.api.options import RenderedOptions
from app.api.problems import problem_responses
from app.api.renderings import RENDERINGS, render
from app.api.schemas import ClassificationAnswer

router = APIRouter(
    prefix="/v1",
    tags=["classify"],
    dependencies=[MAY_CLASSIFY],
    responses={
        **problem_responses(400, 401, 403, 408, 413, 415, 422, 429, 503, 504),
        200: {"content": RENDERINGS},
    },
)


@router.post("/classify", openapi_extra=UPLOAD, response_model=ClassificationAnswer)
async def classify(
    request: Request, service: ServiceDependency, options: RenderedOptions
) -> Response:
    """Say what a sound is, with the default model."""
    return render(request, options, *await classify_request(request, service, options))


@router.post(
    "/models/{name}/classify",
    openapi_extra=UPLOAD,
    response_model=ClassificationAnswer,
    responses=problem_responses(404),
)
async def classify_with_model(
    request: Request, service: ServiceDependency, name: ModelNamePath, options: RenderedOptions
) -> Response:
    """Say what a sound is, with the version of a model that serves."""
    return render(request, options, *await classify_request(request, service, options, name))


@router.post(
    "/models/{name}/versions/{version}/classify",
    openapi_extra=UPLOAD,
    response_model=ClassificationAnswer,
    responses=problem_responses(404),
)
async def classify_with_version(
    request: Request,
    service: ServiceDependency,
    name: ModelNamePath,
    version: VersionPath,
    options: RenderedOptions,
) -> Response:
    """Say what a sound is, with one version of a model, or that of an alias."""
    answer = await classify_request(request, service, options, name, version)
    return render(request, options, *answer)
