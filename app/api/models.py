"""What models there are."""

from fastapi import APIRouter

from app.api.access import MAY_ADMINISTER, MAY_CLASSIFY
from app.api.dependencies import ModelNamePath, ServiceDependency
from app.api.problems import problem_responses
from app.api.schemas import (
    CanaryAnswer,
    ModelDetail,
    ModelList,
    ModelSummary,
    ReloadAnswer,
    ServingAnswer,
)
from app.service import Service

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("", dependencies=[MAY_CLASSIFY], responses=problem_responses(401, 403, 429))
def list_models(service: ServiceDependency) -> ModelList:
    """List the models that serve."""
    return ModelList(models=[_summary(service, name) for name in service.catalogue.names])


@router.get(
    "/{name}",
    dependencies=[MAY_CLASSIFY],
    responses=problem_responses(401, 403, 404, 422, 429, 503),
)
def show_model(service: ServiceDependency, name: ModelNamePath) -> ModelDetail:
    """Describe a model: labels, front end, training data, licence, metrics."""
    summary = _summary(service, name)
    stable = service.catalogue.serving(name).stable
    return ModelDetail.of(summary, service.catalogue.store.manifest(stable))


@router.post(
    "/{name}/reload",
    dependencies=[MAY_ADMINISTER],
    responses=problem_responses(401, 403, 404, 409, 422, 503, 504),
)
async def reload_model(service: ServiceDependency, name: ModelNamePath) -> ReloadAnswer:
    """Serve what the store says now of a model: its newest version, its aliases.

    The answer comes when the new version serves. A version that fails its check is refused, and the
    one before serves on.
    """
    reloaded = await service.reload(name)
    return ReloadAnswer(
        outcome=reloaded.outcome,
        before=ServingAnswer.of(reloaded.before),
        after=ServingAnswer.of(reloaded.after),
    )


def _summary(service: Service, name: str) -> ModelSummary:
    serving = service.catalogue.serving(name)
    return ModelSummary(
        name=name,
        version=serving.stable.version,
        canary=CanaryAnswer.of(serving),
        versions=service.catalogue.stored_versions(name),
        default=name == service.settings.default_model,
    )
