"""Metrics: the one place where names of metrics stand. Base units; no user input in a label."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from app.inference.classification import Classification

_REQUEST_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """What the service counts.

    Args:
        registry: where the metrics are registered; each application has its own.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._requests = Counter(
            "hark_http_requests",
            "Requests answered.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._request_seconds = Histogram(
            "hark_http_request_duration_seconds",
            "From a request's first byte to its answer's last.",
            ["method", "route"],
            buckets=_REQUEST_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            "hark_errors", "Requests answered with a problem, by code.", ["code"], registry=registry
        )
        self._stage_seconds = Histogram(
            "hark_stage_duration_seconds",
            "Time of one classification in each stage.",
            ["stage"],
            buckets=_STAGE_BUCKETS,
            registry=registry,
        )
        self._queue_seconds, self._decode_seconds, self._features_seconds, self._model_seconds = (
            self._stage_seconds.labels(stage) for stage in ("queue", "decode", "features", "model")
        )
        self._audio_seconds = Counter(
            "hark_audio_seconds", "Seconds of audio classified.", registry=registry
        )
        self._upload_bytes = Counter(
            "hark_upload_bytes", "Bytes of files classified.", registry=registry
        )
        self._predictions = Counter(
            "hark_predictions",
            "Clips classified, by most probable label.",
            ["model", "version", "label"],
            registry=registry,
        )
        self._restarts = Counter(
            "hark_worker_restarts", "Compute processes replaced.", ["cause"], registry=registry
        )
        self._reloads = Counter(
            "hark_model_reloads",
            "Attempts to change the versions of a model that serve.",
            ["model", "outcome"],
            registry=registry,
        )
        self._in_flight = Gauge(
            "hark_requests_in_flight", "Uploads being received or classified.", registry=registry
        )
        self._workers_ready = Gauge(
            "hark_workers_ready",
            "Compute processes that have loaded the models.",
            registry=registry,
        )

        self._streams = Counter(
            "hark_streams", "Live streams that ended, by close code.", ["code"], registry=registry
        )
        self._stream_results = Counter(
            "hark_stream_results", "Windows of live streams answered.", registry=registry
        )
        self._streams_open = Gauge(
            "hark_streams_open", "Live streams being answered.", registry=registry
        )

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request. `route` is its template, or a fixed word where none fits."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(method, route).observe(seconds)

    def count_stream(self, close_code: int | None) -> None:
        """Count a live stream that ended; None stands for codes that clients make up."""
        self._streams.labels("other" if close_code is None else str(close_code)).inc()

    def count_stream_result(self) -> None:
        """Count an answered window of a live stream."""
        self._stream_results.inc()

    def count_error(self, code: str) -> None:
        """Count a request answered with a problem."""
        self._errors.labels(code).inc()

    def observe_classification(
        self, answer: Classification, upload_bytes: int, wait_seconds: float
    ) -> None:
        """Count a classified clip; `wait_seconds` is what passed outside the other stages."""
        stages = answer.stage_seconds
        self._queue_seconds.observe(wait_seconds)
        self._decode_seconds.observe(stages.decode)
        self._features_seconds.observe(stages.features)
        self._model_seconds.observe(stages.model)
        self._audio_seconds.inc(answer.duration_seconds)
        self._upload_bytes.inc(upload_bytes)
        model = answer.model
        self._predictions.labels(model.name, str(model.version), answer.label).inc()

    def count_restart(self, cause: str) -> None:
        """Count a compute process that was replaced."""
        self._restarts.labels(cause).inc()

    def count_reload(self, model: str, outcome: str) -> None:
        """Count an attempt to change the versions of a model that serve."""
        self._reloads.labels(model, outcome).inc()

    def watch_streams(self, streams_open: Callable[[], int]) -> None:
        """Read this whenever the metrics are scraped."""
        self._streams_open.set_function(streams_open)

    def watch(self, in_flight: Callable[[], int], workers_ready: Callable[[], int]) -> None:
        """Read these whenever the metrics are scraped."""
        self._in_flight.set_function(in_flight)
        self._workers_ready.set_function(workers_ready)
