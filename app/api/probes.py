"""Whether the service lives, whether it is ready, and what it counts."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from app.api.dependencies import ServiceDependency
from app.api.problems import problem_responses
from app.errors import NotReadyError
from app.metrics.exposition import expose

router = APIRouter(tags=["operations"])


class Liveness(BaseModel):
    """The HTTP process answers."""

    status: str = "alive"


class Readiness(BaseModel):
    """Requests are answered."""

    status: str = "ready"
    workers_ready: int
    workers: int


@router.get("/livez")
@router.api_route("/livez", methods=["GET", "HEAD"], include_in_schema=False)
async def live() -> Liveness:
    """Say that the HTTP process answers; touches no model."""
    return Liveness()


@router.get("/readyz", responses=problem_responses(503))
@router.api_route("/readyz", methods=["GET", "HEAD"], include_in_schema=False)
async def ready(service: ServiceDependency) -> Readiness:
    """Say whether requests are answered: once every compute process has loaded and probed."""
    workers = service.workers
    if service.stopping:
        raise NotReadyError("The service has been asked to stop. Ask another one.")
    if workers.ready:
        return Readiness(workers_ready=workers.ready_count, workers=workers.count)
    if refusal := workers.refusal_now():
        raise refusal
    raise NotReadyError(
        f"{workers.ready_count} of {workers.count} compute processes are ready. Try again in some "
        "seconds."
    )


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"content": {"application/openmetrics-text": {}}}},
)
async def metrics(request: Request, service: ServiceDependency) -> Response:
    """Show what the service counts, in Prometheus's text format, or in OpenMetrics if asked to."""
    text, media_type = expose(service.metrics.registry, request.headers.get("accept", ""))
    return Response(text, media_type=media_type)
