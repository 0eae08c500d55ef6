"""What the answers look like."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from app.api.options import ClassifyOptions
from app.api.problems import Problem
from app.inference.artifact import Manifest
from app.inference.classification import Classification, Window
from app.inference.events import find_events
from app.inference.labels import most_probable
from app.inference.serving import Serving


class ModelAnswer(BaseModel):
    """The model version that answered."""

    name: str
    version: int


class LabelProbability(BaseModel):
    """A label, and how probable the model holds it to be."""

    label: str
    probability: float


class EventAnswer(BaseModel):
    """A sound with a beginning and an end: neighbouring windows of one label."""

    model_config = ConfigDict(from_attributes=True)

    label: str
    start_seconds: float
    end_seconds: float
    probability: float = Field(description="The average over the event's windows.")


class WindowAnswer(BaseModel):
    """What a piece of the audio is that the model looked at."""

    start_seconds: float
    end_seconds: float
    label: str = Field(description="The most probable label.")
    silence: bool
    probabilities: dict[str, float]

    @classmethod
    def of(cls, window: Window, labels: list[str]) -> "WindowAnswer":
        """Compose the answer for a window; `labels` are those of its probabilities."""
        label, _ = most_probable(labels, window.probabilities)
        return cls(
            start_seconds=window.start_seconds,
            end_seconds=window.end_seconds,
            label=label,
            silence=window.silence,
            probabilities=dict(zip(labels, window.probabilities, strict=True)),
        )


class ClassificationAnswer(BaseModel):
    """What a sound is."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": {"name": "urbansound", "version": 1},
                "duration_seconds": 4.0,
                "truncated": False,
                "label": "siren",
                "silence": False,
                "uncertain": False,
                "probabilities": {"dog_bark": 0.1, "siren": 0.9},
                "top": [{"label": "siren", "probability": 0.9}],
                "events": [
                    {
                        "label": "siren",
                        "start_seconds": 0.0,
                        "end_seconds": 4.0,
                        "probability": 0.9,
                    }
                ],
            }
        }
    )

    model: ModelAnswer
    duration_seconds: float = Field(description="Length of the audio that was classified.")
    truncated: bool = Field(
        description="Whether the file ended before its own structure says that it does."
    )
    label: str = Field(description="The most probable label.")
    silence: bool = Field(description="Whether there is nothing in it that could be heard.")
    uncertain: bool = Field(
        description="Whether the label is more likely wrong than right, as far as the model knows."
    )
    probabilities: dict[str, float] = Field(description="All labels; they sum to 1.")
    top: list[LabelProbability] = Field(description="The most probable labels, highest first.")
    events: list[EventAnswer] = Field(
        description="Sounds with their times: neighbouring windows in which a label is at least as "
        "probable as the threshold."
    )
    windows: list[WindowAnswer] | SkipJsonSchema[None] = Field(
        None, description="What each window is, where that is asked for."
    )

    @classmethod
    def of(cls, answer: Classification, options: ClassifyOptions) -> "ClassificationAnswer":
        """Compose the answer for a clip.

        Raises:
            InvalidParameterError: a label that is asked for is none of the model's.
        """
        told = answer if options.labels is None else answer.only(options.labels)
        least = options.threshold or 0.0
        labels = list(told.probabilities)
        return cls(
            model=ModelAnswer(name=told.model.name, version=told.model.version),
            duration_seconds=told.duration_seconds,
            truncated=told.truncated,
            label=told.label,
            silence=told.silence,
            uncertain=told.uncertain,
            probabilities=told.probabilities,
            top=[
                LabelProbability(label=name, probability=p)
                for name, p in told.top(options.top_k)
                if p >= least
            ],
            events=[
                EventAnswer.model_validate(event)
                for event in find_events(told, options.event_threshold)
            ],
            windows=[WindowAnswer.of(window, labels) for window in told.windows]
            if options.windows
            else None,
        )

    def to_json(self) -> bytes:
        """Return the answer as JSON, without what was not asked for."""
        return self.__pydantic_serializer__.to_json(self, exclude_none=True)


class BatchResult(BaseModel):
    """What became of one file of a batch: an answer or a problem."""

    answer: ClassificationAnswer | SkipJsonSchema[None] = None
    problem: Problem | SkipJsonSchema[None] = None


class BatchAnswer(BaseModel):
    """What became of each file of a batch, in the order in which they were sent."""

    results: list[BatchResult]


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
