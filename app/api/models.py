"""What models there are."""

from fastapi import APIRouter

from app.api.dependencies import ModelNamePath, ServiceDependency
from app.api.problems import problem_responses
from app.api.schemas import ModelDetail, ModelList, ModelSummary
from app.service import Service

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
def list_models(service: ServiceDependency) -> ModelList:
    """List the models of the store."""
    return ModelList(models=[_summary(service, name) for name in service.store.names()])


@router.get("/{name}", responses=problem_responses(404, 503))
def show_model(service: ServiceDependency, name: ModelNamePath) -> ModelDetail:
    """Describe a model: labels, front end, training data, licence, metrics."""
    summary = _summary(service, name)
    return ModelDetail.of(summary, service.store.manifest(service.resolve(name)))


def _summary(service: Service, name: str) -> ModelSummary:
    return ModelSummary(
        name=name,
        version=service.resolve(name).version,
        versions=service.store.versions(name),
        default=name == service.settings.default_model,
    )
