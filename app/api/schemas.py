"""What the answers look like."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.inference.artifact import Manifest
from app.inference.classification import Classification
from app.inference.serving import Serving


class ModelAnswer(BaseModel):
    """The model version that answered."""

    name: str
    version: int


class LabelProbability(BaseModel):
    """A label, and how probable the model holds it to be."""

    label: str
    probability: float


class ClassificationAnswer(BaseModel):
    """What a sound is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": {"name": "urbansound", "version": 1},
                "duration_seconds": 4.0,
                "truncated": False,
                "label": "siren",
                "probabilities": {"dog_bark": 0.1, "siren": 0.9},
                "top": [{"label": "siren", "probability": 0.9}],
            }
        }
    )

    model: ModelAnswer
    duration_seconds: float = Field(description="Length of the clip.")
    truncated: bool = Field(
        description="Whether the file ended before its own structure says that it does."
    )
    label: str = Field(description="The most probable label.")
    probabilities: dict[str, float] = Field(description="All labels; they sum to 1.")
    top: list[LabelProbability] = Field(description="The most probable labels, highest first.")

    @classmethod
    def of(cls, answer: Classification, top_k: int | None) -> "ClassificationAnswer":
        """Compose the answer for a clip."""
        return cls(
            model=ModelAnswer(name=answer.model.name, version=answer.model.version),
            duration_seconds=answer.duration_seconds,
            truncated=answer.truncated,
            label=answer.label,
            probabilities=answer.probabilities,
            top=[LabelProbability(label=name, probability=p) for name, p in answer.top(top_k)],
        )


class CanaryAnswer(BaseModel):
    """A version that answers a part of the requests that ask for none."""

    version: int
    percent: float = Field(description="How large that part is.")

    @classmethod
    def of(cls, serving: Serving) -> "CanaryAnswer | None":
        """Describe a model's canary, if it has one."""
        if serving.canary is None:
            return None
        return cls(version=serving.canary.version, percent=serving.canary_percent)


class ServingAnswer(BaseModel):
    """The versions of a model that serve."""

    version: int = Field(description="The stable version.")
    canary: CanaryAnswer | None

    @classmethod
    def of(cls, serving: Serving | None) -> "ServingAnswer | None":
        """Describe what serves, if anything does."""
        if serving is None:
            return None
        return cls(version=serving.stable.version, canary=CanaryAnswer.of(serving))


class ReloadAnswer(BaseModel):
    """What became of the wish to reload a model."""

    outcome: Literal["swapped", "unchanged"]
    before: ServingAnswer | None = Field(description="What served before.")
    after: ServingAnswer | None = Field(description="What serves now.")


class ModelSummary(BaseModel):
    """A model of the store."""

    name: str
    version: int = Field(description="The version that answers where none is asked for.")
    canary: CanaryAnswer | None = Field(description="The version that answers a part of them.")
    versions: list[int] = Field(description="All versions, in ascending order.")
    default: bool = Field(description="Whether /v1/classify asks this model.")


class ModelList(BaseModel):
    """The models of the store."""

    models: list[ModelSummary]


class ModelDetail(ModelSummary):
    """A model of the store, with what its serving version says of itself."""

    labels: list[str] = Field(description="In the order of the model's outputs.")
    created_at: str
    front_end: dict[str, Any] = Field(description="How features are computed.")
    training: dict[str, Any] = Field(description="Recipe, data, licence and command.")
    metrics: dict[str, float] = Field(description="From cross-validation.")

    @classmethod
    def of(cls, summary: ModelSummary, manifest: Manifest) -> "ModelDetail":
        """Compose a model's description."""
        return cls(
            **summary.model_dump(),
            labels=manifest.labels,
            created_at=manifest.created_at,
            front_end=manifest.front_end,
            training=manifest.training.model_dump(),
            metrics=manifest.metrics,
        )
