"""Metrics: what the service counts, on one registry for all of its processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from app.inference.classification import Classification
from app.inference.engine import EngineName
from app.inference.store import ModelReference, ModelStore
from app.inference.threads import available_processors
from app.metrics import definitions
from app.metrics.definitions import Definition
from app.metrics.inputs import classes_of
from app.metrics.processes import ProcessesCollector
from app.metrics.registered import counter, gauge, gauge_family, histogram
from app.metrics.versions import Roles, Versions, VersionsCollector


class Metrics:
    """What the service counts.

    Counts that are looked up by labels are kept: looking up takes as long as counting.

    Args:
        registry: where the metrics are registered; each application has its own.
        store: where versions say what they answered on validation data.
        engine: what runs the models.
        drift_clips: how many of a version's last answers are compared with that.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        store: ModelStore,
        engine: EngineName,
        drift_clips: int,
    ) -> None:
        # They would be twice the samples, for what nobody here asks.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        self._requests = counter(definitions.REQUESTS, registry)
        self._request_seconds = histogram(definitions.REQUEST_SECONDS, registry)
        self._by_answer: dict[tuple[str, str, int, str | None], tuple[Counter, Histogram]] = {}
        stage_seconds = histogram(definitions.STAGE_SECONDS, registry)
        self._stages = {stage: stage_seconds.labels(stage) for stage in definitions.STAGES}
        self._errors = counter(definitions.ERRORS, registry)
        rejected = counter(definitions.REJECTED, registry)
        self._rejected = {
            reason: rejected.labels(reason) for reason in definitions.REJECTION_REASONS
        }
        self._audio_seconds = counter(definitions.AUDIO_SECONDS, registry)
        self._upload_bytes = counter(definitions.UPLOAD_BYTES, registry)
        self._inputs = counter(definitions.INPUTS, registry)
        self._by_input: dict[tuple[str, str, str], Counter] = {}
        self._versions = Versions(registry, store, drift_clips)
        self._restarts = counter(definitions.RESTARTS, registry)
        for cause in definitions.RESTART_CAUSES:
            self._restarts.labels(cause)
        self._load_seconds = histogram(definitions.LOAD_SECONDS, registry)
        self._reloads = counter(definitions.RELOADS, registry)
        self._failing_reloads: set[str] = set()
        self._streams = counter(definitions.STREAMS, registry)
        self._stream_results = counter(definitions.STREAM_RESULTS, registry)
        gauge(definitions.BUILD_INFO, registry).labels(version("hark"), engine).set(1)
        gauge(definitions.PROCESSORS, registry).set(available_processors())
        ProcessCollector(registry=registry)

    def observe_request(
        self,
        method: str,
        route: str,
        status: int,
        seconds: float,
        code: str | None = None,
        trace_id: str | None = None,
    ) -> None:
        """Count an answered request.

        Args:
            method: its method, or a fixed word where a client made one up.
            route: its template, or a fixed word where none fits.
            status: that of the answer.
            seconds: how long it took.
            code: that of the problem that it was answered with.
            trace_id: the trace that shows what happened, where there is one.
        """
        key = method, route, status, code
        found = self._by_answer.get(key)
        if found is None:
            labels = method, route, str(status), code or ""
            found = self._requests.labels(*labels), self._request_seconds.labels(*labels)
            self._by_answer[key] = found
        requests, request_seconds = found
        requests.inc()
        request_seconds.observe(seconds, {"trace_id": trace_id} if trace_id else None)

    def observe_stages(self, stage_seconds: Mapping[str, float]) -> None:
        """Count what passed before and after a request's classifications.

        Their own stages among these are passed over: `observe_classification` counts them, also
        where there are several in a request.
        """
        for stage in ("receive", "respond"):
            if stage in stage_seconds:
                self._stages[stage].observe(stage_seconds[stage])

    def observe_classification(
        self, answer: Classification, n_bytes: int, wait_seconds: float, *, is_live: bool = False
    ) -> None:
        """Count a classified clip.

        Args:
            answer: the answer.
            n_bytes: the file's size.
            wait_seconds: what passed outside the other stages.
            is_live: whether it was no file, but a window of a live stream.
        """
        stages, by_stage = answer.stage_seconds, self._stages
        by_stage["queue"].observe(wait_seconds)
        by_stage["decode"].observe(stages.decode)
        by_stage["resample"].observe(stages.resample)
        by_stage["features"].observe(stages.features)
        by_stage["model"].observe(stages.model)
        self._audio_seconds.inc(answer.duration_seconds)
        if not is_live:
            self._upload_bytes.inc(n_bytes)
        classes = classes_of(answer.source, is_live=is_live)
        inputs = self._by_input.get(classes)
        if inputs is None:
            inputs = self._by_input[classes] = self._inputs.labels(*classes)
        inputs.inc()
        self._versions.observe(answer, is_live=is_live)

    def count_error(self, code: str) -> None:
        """Count a problem that a client was told of."""
        self._errors.labels(code).inc()
        if code in self._rejected:
            self._rejected[code].inc()

    def count_stream(self, close_code: int | None) -> None:
        """Count a live stream that ended; None stands for codes that clients make up."""
        self._streams.labels("other" if close_code is None else str(close_code)).inc()

    def count_stream_result(self) -> None:
        """Count an answered window of a live stream."""
        self._stream_results.inc()

    def count_restart(self, cause: str) -> None:
        """Count a compute process that was replaced."""
        self._restarts.labels(cause).inc()

    def observe_load(self, model: ModelReference, seconds: float) -> None:
        """Count a version that a compute process has loaded."""
        self._load_seconds.labels(model.name, str(model.version)).observe(seconds)

    def count_reload(self, model: str, outcome: str) -> None:
        """Count an attempt to change the versions of a model that serve."""
        self._reloads.labels(model, outcome).inc()
        if outcome in ("swapped", "unchanged"):
            self._failing_reloads.discard(model)
        else:
            self._failing_reloads.add(model)

    def watch(self, definition: Definition, read: Callable[[], float]) -> None:
        """Read a gauge without labels whenever the metrics are scraped."""
        gauge(definition, self.registry).set_function(read)

    def watch_models(self, names: Callable[[], Iterable[str]], roles: Roles) -> None:
        """Read which models, and which versions of them, serve whenever the metrics are scraped."""
        for name in names():
            for outcome in definitions.RELOAD_OUTCOMES:
                self._reloads.labels(name, outcome)
        self.registry.register(VersionsCollector(self._versions, roles))
        self.registry.register(_ReloadsCollector(names, self._failing_reloads))

    def watch_processes(self, compute_processes: Callable[[], Iterable[int]]) -> None:
        """Read what processes take, by their numbers, whenever the metrics are scraped."""
        self.registry.register(ProcessesCollector(compute_processes))


class _ReloadsCollector(Collector):
    """Says of which models the last change failed."""

    def __init__(self, names: Callable[[], Iterable[str]], failing: set[str]) -> None:
        self._names = names
        self._failing = failing

    def collect(self) -> Iterator[Metric]:
        successful = gauge_family(definitions.LAST_RELOAD_SUCCESSFUL)
        for name in sorted({*self._names(), *self._failing}):
            successful.add_metric([name], name not in self._failing)
        yield successful
