"""What each version of a model has answered, and how far that is from its validation data."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from app.inference.classification import Classification
from app.inference.store import ModelReference, ModelStore
from app.metrics import definitions
from app.metrics.drift import DriftWindow
from app.metrics.inputs import OTHER
from app.metrics.recorded import Recorded, read_recorded
from app.metrics.registered import counter, gauge_family, histogram

Roles = Callable[[], Iterable[tuple[ModelReference, str]]]


class Versions:
    """Counts answers by version.

    Args:
        registry: where the metrics are registered.
        store: where versions say what they answered on validation data.
        drift_clips: how many of a version's last answers are compared with that.
    """

    def __init__(self, registry: CollectorRegistry, store: ModelStore, drift_clips: int) -> None:
        self._store = store
        self._drift_clips = drift_clips
        self._predictions = counter(definitions.PREDICTIONS, registry)
        self._top_probability = histogram(definitions.TOP_PROBABILITY, registry)
        self._uncertain = counter(definitions.UNCERTAIN, registry)
        self._silent = counter(definitions.SILENT, registry)
        self._known: dict[ModelReference, _Version] = {}

    def observe(self, answer: Classification, *, is_live: bool) -> None:
        """Count an answer; one to a live stream's window is no clip, and left out of drift."""
        self.of(answer.model).observe(answer, is_live=is_live)

    def of(self, model: ModelReference) -> "_Version":
        """Return a version's counts, which begin when it is first asked for."""
        version = self._known.get(model)
        if version is None:
            recorded = read_recorded(self._store, model)
            version = self._known[model] = self._begin(model, recorded)
        return version

    def _begin(self, model: ModelReference, recorded: Recorded) -> "_Version":
        labels = model.name, str(model.version)
        return _Version(
            recorded=recorded,
            predictions={
                label: self._predictions.labels(*labels, label)
                for label in (*recorded.labels, OTHER)
            },
            top_probability=self._top_probability.labels(*labels),
            uncertain=self._uncertain.labels(*labels),
            silent=self._silent.labels(*labels),
            drift=DriftWindow(recorded.reference, self._drift_clips)
            if recorded.reference is not None
            else None,
        )


@dataclass(frozen=True, slots=True)
class _Version:
    """One version's counts, looked up once: that takes as long as counting."""

    recorded: Recorded
    predictions: dict[str, Counter]
    top_probability: Histogram
    uncertain: Counter
    silent: Counter
    drift: DriftWindow | None

    def observe(self, answer: Classification, *, is_live: bool) -> None:
        label = answer.label
        top_probability = answer.probabilities[label]
        # Compute processes decode what strangers send: what one says of itself is not believed.
        self.predictions.get(label, self.predictions[OTHER]).inc()
        self.top_probability.observe(top_probability)
        if answer.uncertain:
            self.uncertain.inc()
        if answer.silence:
            self.silent.inc()
        elif self.drift is not None and not is_live and label in self.recorded.labels:
            self.drift.add(self.recorded.labels.index(label), top_probability)


class VersionsCollector(Collector):
    """Says which versions serve, and how far their answers have drifted, when somebody asks.

    Args:
        versions: what they answered.
        roles: the versions that serve, each with what it is called.
    """

    def __init__(self, versions: Versions, roles: Roles) -> None:
        self._versions = versions
        self._roles = roles

    def collect(self) -> Iterator[Metric]:
        info = gauge_family(definitions.MODEL_INFO)
        created = gauge_family(definitions.MODEL_CREATED)
        distance = gauge_family(definitions.DRIFT)
        n_clips = gauge_family(definitions.DRIFT_CLIPS)
        for model, role in self._roles():
            labels = [model.name, str(model.version)]
            info.add_metric([*labels, role], 1)
            version = self._versions.of(model)
            if version.recorded.created_at is not None:
                created.add_metric(labels, version.recorded.created_at)
            if version.drift is not None:
                n_clips.add_metric(labels, version.drift.n_clips)
                for name, value in version.drift.distances().items():
                    distance.add_metric([*labels, name], value)
        yield from (info, created, distance, n_clips)
