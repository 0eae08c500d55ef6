"""The protocol of Hugging Face's clients: `InferenceClient(model=URL).audio_classification(...)`.

They send a file as the body, or base64 as JSON where they have parameters, and take a bare list.
Source: https://huggingface.co/docs/inference-providers/tasks/audio-classification
"""

from collections.abc import Mapping
from typing import Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from app.api.access import MAY_CLASSIFY
from app.api.classification import UPLOAD, classify_request
from app.api.dependencies import ModelNamePath, ServiceDependency
from app.api.options import ClassifyOptions, Options
from app.api.problems import problem_responses
from app.api.schemas import ClassificationAnswer
from app.errors import InvalidParameterError
from app.service import Service

# What clients may ask to be done with the model's outputs. Here they have been through it.
_FUNCTION: Final = "function_to_apply"
_APPLIED: Final = "softmax"

router = APIRouter(
    tags=["other clients"],
    dependencies=[MAY_CLASSIFY],
    responses=problem_responses(400, 401, 403, 408, 413, 415, 422, 429, 503, 504),
)


class LabelScore(BaseModel):
    """A label, and how probable the model holds it to be."""

    label: str
    score: float = Field(description="The probability.")


@router.post("/", openapi_extra=UPLOAD)
async def classify_as_hugging_face(
    request: Request, service: ServiceDependency, options: Options
) -> list[LabelScore]:
    """Say what a sound is, to a client of Hugging Face's, with the default model."""
    return await _scores(request, service, options)


@router.post("/models/{name}", openapi_extra=UPLOAD, responses=problem_responses(404))
async def classify_as_hugging_face_with_model(
    request: Request, service: ServiceDependency, name: ModelNamePath, options: Options
) -> list[LabelScore]:
    """Say what a sound is, to a client of Hugging Face's, with a model of the store."""
    return await _scores(request, service, options, name)


async def _scores(
    request: Request, service: Service, query: ClassifyOptions, name: str | None = None
) -> list[LabelScore]:
    answer, options = await classify_request(
        request, service, query, name, accept=_without_function
    )
    content = ClassificationAnswer.of(answer, options)
    return [LabelScore(label=each.label, score=each.probability) for each in content.top]


def _without_function(parameters: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters that are options here.

    Raises:
        InvalidParameterError: the client wants another function of the outputs than there is.
    """
    function = parameters.get(_FUNCTION) or _APPLIED
    if function != _APPLIED:
        raise InvalidParameterError(
            f"{_FUNCTION}: the models here answer with probabilities that sum to 1, which is "
            f"{_APPLIED!r}; {str(function)[:64]!r} cannot be had. Leave it out."
        )
    return {name: value for name, value in parameters.items() if name != _FUNCTION}
