"""The Open Inference Protocol, version 2: what the server and its models are, and their health.

Source: https://github.com/kserve/open-inference-protocol
"""

from typing import Final

from fastapi import APIRouter, Request

from app.api.access import MAY_CLASSIFY
from app.api.dependencies import ModelNamePath, ServiceDependency, VersionPath
from app.api.inference_schemas import (
    ModelMetadata,
    ModelReady,
    ServerLive,
    ServerMetadata,
    ServerReady,
    TensorMetadata,
)
from app.api.output_tensors import describe_outputs
from app.api.probes import ready
from app.api.problems import problem_responses
from app.inference.engine import EngineName
from app.service import Service

_PLATFORM: Final[dict[EngineName, str]] = {"keras": "tensorflow_keras", "onnx": "onnxruntime_onnx"}
_MODEL_RESPONSES: Final = problem_responses(401, 403, 404, 422, 429, 503)

router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])


@router.get("")
async def show_server(request: Request) -> ServerMetadata:
    """Say what the server is, and what it can beyond the protocol."""
    return ServerMetadata(
        name="hark",
        version=request.app.version,
        extensions=["binary_tensor_data", "classification"],
    )


@router.get("/health/live")
async def server_live() -> ServerLive:
    """Say that the HTTP process answers; touches no model."""
    return ServerLive()


@router.get("/health/ready", responses=problem_responses(503))
async def server_ready(service: ServiceDependency) -> ServerReady:
    """Say whether requests are answered."""
    await ready(service)
    return ServerReady()


@router.get(
    "/models/{name}",
    dependencies=[MAY_CLASSIFY],
    responses=_MODEL_RESPONSES,
)
def show_tensors(service: ServiceDependency, name: ModelNamePath) -> ModelMetadata:
    """Describe the tensors of the version of a model that serves."""
    return _metadata(service, name)


@router.get(
    "/models/{name}/versions/{version}",
    dependencies=[MAY_CLASSIFY],
    responses=_MODEL_RESPONSES,
)
def show_tensors_of_version(
    service: ServiceDependency, name: ModelNamePath, version: VersionPath
) -> ModelMetadata:
    """Describe the tensors of one version of a model, or that of an alias."""
    return _metadata(service, name, version)


@router.get(
    "/models/{name}/ready",
    dependencies=[MAY_CLASSIFY],
    responses=_MODEL_RESPONSES,
)
async def model_ready(service: ServiceDependency, name: ModelNamePath) -> ModelReady:
    """Say whether requests to a model are answered."""
    service.catalogue.resolve(name)
    await ready(service)
    return ModelReady(name=name)


@router.get(
    "/models/{name}/versions/{version}/ready",
    dependencies=[MAY_CLASSIFY],
    responses=_MODEL_RESPONSES,
)
async def version_ready(
    service: ServiceDependency, name: ModelNamePath, version: VersionPath
) -> ModelReady:
    """Say whether requests to one version of a model are answered."""
    service.catalogue.resolve(name, version)
    await ready(service)
    return ModelReady(name=name)


def _metadata(service: Service, name: str, version: str | None = None) -> ModelMetadata:
    reference = service.catalogue.resolve(name, version)
    labels = service.catalogue.store.manifest(reference).labels
    return ModelMetadata(
        name=name,
        versions=[str(each) for each in service.catalogue.stored_versions(name)],
        platform=_PLATFORM[service.settings.engine],
        inputs=[
            TensorMetadata(name="audio", datatype="BYTES", shape=[-1]),
            TensorMetadata(name="samples", datatype="FP32", shape=[-1, -1]),
        ],
        outputs=describe_outputs(len(labels)),
        labels=labels,
    )
