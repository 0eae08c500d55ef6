"""Definitions: the one place where names of metrics stand, and what `docs/metrics.md` is made of.

Base units; a counter's name gets `_total` where it is exposed. Every label has few values: route
templates, codes, versions of the store and their labels, and never what a client makes up.
"""

from dataclasses import dataclass
from typing import Final, Literal

from app.errors import (
    DeadlineExceededError,
    HarkError,
    NotReadyError,
    OverloadedError,
    RateLimitedError,
    StoppingError,
    TooManyConnectionsError,
    TooManyStreamsError,
    UploadTooSlowError,
)

_REQUEST_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_STAGE_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_LOAD_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_PROBABILITY_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)

STAGES: Final = ("receive", "queue", "decode", "resample", "features", "model", "respond")
RELOAD_OUTCOMES: Final = ("swapped", "unchanged", "refused", "failed")
RESTART_CAUSES: Final = ("crashed", "hung", "out_of_memory", "unreadable", "failed_to_load")
# A client is turned away for want of room or time, whatever it sent.
_REJECTIONS: Final[tuple[type[HarkError], ...]] = (
    *(OverloadedError, NotReadyError, StoppingError, DeadlineExceededError, UploadTooSlowError),
    *(TooManyConnectionsError, TooManyStreamsError, RateLimitedError),
)
REJECTION_REASONS: Final = tuple(error.code for error in _REJECTIONS)


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric.

    Attributes:
        name: its name, without a counter's `_total`.
        kind: what Prometheus calls its type.
        help: what it counts or measures, in a sentence.
        labels: their names.
        buckets: a histogram's upper bounds.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Metrics that answer one question."""

    title: str
    metrics: tuple[Definition, ...]


REQUESTS: Final = Definition(
    "hark_http_requests",
    "counter",
    "Requests answered.",
    ("method", "route", "status", "code"),
)
REQUEST_SECONDS: Final = Definition(
    "hark_http_request_duration_seconds",
    "histogram",
    "From a request's headers to its answer's last byte; with the trace's id as exemplar.",
    ("method", "route", "status", "code"),
    _REQUEST_BUCKETS,
)
ERRORS: Final = Definition(
    "hark_errors",
    "counter",
    "Problems told: of requests other than probes, of files in a batch, and of live streams.",
    ("code",),
)
REJECTED: Final = Definition(
    "hark_rejected",
    "counter",
    "Of these problems, those for want of room or time, whatever was sent.",
    ("reason",),
)
STAGE_SECONDS: Final = Definition(
    "hark_stage_duration_seconds",
    "histogram",
    "Time of a request or a classification in each stage.",
    ("stage",),
    _STAGE_BUCKETS,
)
IN_FLIGHT: Final = Definition(
    "hark_requests_in_flight", "gauge", "Uploads being received or classified."
)
IN_FLIGHT_LIMIT: Final = Definition(
    "hark_requests_in_flight_limit",
    "gauge",
    "Uploads that are taken at a time; beyond them the answer is 503.",
)
QUEUE_DEPTH: Final = Definition(
    "hark_queue_depth", "gauge", "Clips received that wait for a compute process."
)

WORKERS_CONFIGURED: Final = Definition(
    "hark_workers_configured", "gauge", "Compute processes that there should be."
)
WORKERS_ALIVE: Final = Definition(
    "hark_workers_alive", "gauge", "Compute processes that run, those that still load included."
)
WORKERS_READY: Final = Definition(
    "hark_workers_ready", "gauge", "Compute processes that have loaded the models."
)
WORKERS_BUSY: Final = Definition(
    "hark_workers_busy", "gauge", "Compute processes that work on a clip."
)
RESTARTS: Final = Definition(
    "hark_worker_restarts", "counter", "Compute processes replaced.", ("cause",)
)

BUILD_INFO: Final = Definition(
    "hark_build_info", "gauge", "Always 1: the release that runs.", ("version", "engine")
)
MODEL_INFO: Final = Definition(
    "hark_model_info",
    "gauge",
    "Always 1: the versions that serve.",
    ("model", "version", "role"),
)
MODEL_CREATED: Final = Definition(
    "hark_model_created_timestamp_seconds",
    "gauge",
    "When a version that serves was exported.",
    ("model", "version"),
)
LOAD_SECONDS: Final = Definition(
    "hark_model_load_duration_seconds",
    "histogram",
    "How long a compute process took to load and check a version; its first load starts the "
    "engine, too.",
    ("model", "version"),
    _LOAD_BUCKETS,
)
RELOADS: Final = Definition(
    "hark_model_reloads",
    "counter",
    "Attempts to change the versions of a model that serve.",
    ("model", "outcome"),
)
LAST_RELOAD_SUCCESSFUL: Final = Definition(
    "hark_model_last_reload_successful",
    "gauge",
    "Whether the last attempt to change a model's versions succeeded; 1 where there was none.",
    ("model",),
)

AUDIO_SECONDS: Final = Definition(
    "hark_audio_seconds", "counter", "Seconds of audio classified; windows of streams overlap."
)
UPLOAD_BYTES: Final = Definition("hark_upload_bytes", "counter", "Bytes of files classified.")
INPUTS: Final = Definition(
    "hark_inputs",
    "counter",
    "Files and windows of live streams classified, by what they were.",
    ("format", "sample_rate", "channels"),
)
PREDICTIONS: Final = Definition(
    "hark_predictions",
    "counter",
    "Clips classified, by most probable label; those without a sound are among them.",
    ("model", "version", "label"),
)
TOP_PROBABILITY: Final = Definition(
    "hark_top_probability",
    "histogram",
    "The probability of the most probable label.",
    ("model", "version"),
    _PROBABILITY_BUCKETS,
)
UNCERTAIN: Final = Definition(
    "hark_uncertain",
    "counter",
    "Answers that are more likely wrong than right; those to silence are among them.",
    ("model", "version"),
)
SILENT: Final = Definition(
    "hark_silent", "counter", "Clips in which nothing can be heard.", ("model", "version")
)
DRIFT: Final = Definition(
    "hark_drift_distance",
    "gauge",
    "Jensen-Shannon distance, 0 to 1, of the last clips' answers from those on validation data.",
    ("model", "version", "distribution"),
)
DRIFT_CLIPS: Final = Definition(
    "hark_drift_clips", "gauge", "How many clips that distance is of.", ("model", "version")
)
STREAMS: Final = Definition(
    "hark_streams", "counter", "Live streams that ended, by close code.", ("code",)
)
STREAM_RESULTS: Final = Definition(
    "hark_stream_results", "counter", "Windows of live streams answered."
)
STREAMS_OPEN: Final = Definition("hark_streams_open", "gauge", "Live streams being answered.")

CPU_SECONDS: Final = Definition(
    "hark_cpu_seconds", "counter", "Processor time, user and system.", ("process",)
)
RESIDENT_MEMORY: Final = Definition(
    "hark_resident_memory_bytes",
    "gauge",
    "Memory in use; what compute processes share (libraries, uploads) counts in each.",
    ("process",),
)
PROCESSORS: Final = Definition("hark_processors", "gauge", "Processors that the service may use.")

GROUPS: Final = (
    Group(
        "Requests",
        (
            *(REQUESTS, REQUEST_SECONDS, STAGE_SECONDS, ERRORS, REJECTED),
            *(IN_FLIGHT, IN_FLIGHT_LIMIT, QUEUE_DEPTH),
        ),
    ),
    Group("Live streams", (STREAMS_OPEN, STREAMS, STREAM_RESULTS)),
    Group(
        "Compute processes",
        (WORKERS_CONFIGURED, WORKERS_ALIVE, WORKERS_READY, WORKERS_BUSY, RESTARTS),
    ),
    Group(
        "Models",
        (
            *(BUILD_INFO, MODEL_INFO, MODEL_CREATED, LOAD_SECONDS, RELOADS),
            LAST_RELOAD_SUCCESSFUL,
        ),
    ),
    Group(
        "What it hears",
        (
            *(PREDICTIONS, TOP_PROBABILITY, UNCERTAIN, SILENT, INPUTS, AUDIO_SECONDS),
            *(UPLOAD_BYTES, DRIFT, DRIFT_CLIPS),
        ),
    ),
    Group("What it costs", (CPU_SECONDS, RESIDENT_MEMORY, PROCESSORS)),
)
