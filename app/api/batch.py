"""Classify many files in one request."""

import asyncio

from fastapi import APIRouter, Request, Response

from app.api.access import MAY_CLASSIFY
from app.api.classification import BATCH_UPLOAD, classify_files
from app.api.dependencies import ModelNamePath, ServiceDependency, VersionPath
from app.api.options import ClassifyOptions, Options
from app.api.problems import problem_of, problem_responses
from app.api.schemas import BatchAnswer, BatchResult, ClassificationAnswer
from app.inference.classification import Classification
from app.service import Service

router = APIRouter(
    prefix="/v1",
    tags=["classify"],
    dependencies=[MAY_CLASSIFY],
    responses=problem_responses(400, 401, 403, 408, 413, 415, 422, 429, 503, 504),
)


@router.post("/classify/batch", openapi_extra=BATCH_UPLOAD, response_model=BatchAnswer)
async def classify_batch(
    request: Request, service: ServiceDependency, options: Options
) -> Response:
    """Say what up to 64 sounds are: an answer or a problem for each, in the order sent."""
    return await _classify_batch(request, service, options)


@router.post(
    "/models/{name}/classify/batch",
    openapi_extra=BATCH_UPLOAD,
    response_model=BatchAnswer,
    responses=problem_responses(404),
)
async def classify_batch_with_model(
    request: Request, service: ServiceDependency, name: ModelNamePath, options: Options
) -> Response:
    """Say what up to 64 sounds are, with the version of a model that serves."""
    return await _classify_batch(request, service, options, name)


@router.post(
    "/models/{name}/versions/{version}/classify/batch",
    openapi_extra=BATCH_UPLOAD,
    response_model=BatchAnswer,
    responses=problem_responses(404),
)
async def classify_batch_with_version(
    request: Request,
    service: ServiceDependency,
    name: ModelNamePath,
    version: VersionPath,
    options: Options,
) -> Response:
    """Say what up to 64 sounds are, with one version of a model, or that of an alias."""
    return await _classify_batch(request, service, options, name, version)


async def _classify_batch(
    request: Request,
    service: Service,
    query: ClassifyOptions,
    name: str | None = None,
    version: str | None = None,
) -> Response:
    answers, options = await classify_files(request, service, query, name, version)
    results = []
    for answer in answers:
        results.append(_result(request, answer, options))
        await asyncio.sleep(0)  # others get their turn: thousands of windows take 0.2 seconds
    content = BatchAnswer(results=results).model_dump_json(exclude_none=True)
    return Response(content, media_type="application/json")


def _result(
    request: Request, answer: Classification | Exception, options: ClassifyOptions
) -> BatchResult:
    if isinstance(answer, Exception):
        return BatchResult(problem=problem_of(request, answer))
    return BatchResult(answer=ClassificationAnswer.of(answer, options))
