"""create_app: the application, from settings. The lifespan starts and stops the workers."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry

from app.api import (
    batch,
    classify,
    huggingface,
    inference_metadata,
    inference_protocol,
    models,
    page,
    probes,
    stream,
)
from app.api.access import API_KEY_HEADER, Access, document_access
from app.api.body_limits import BodyLimits
from app.api.problems import add_problem_handlers, problem_responses
from app.api.request_context import (
    REQUEST_ID_HEADER,
    TRACEPARENT_HEADER,
    RequestContext,
    RequestObserver,
)
from app.api.security_headers import SecurityHeaders
from app.api.stream_context import StreamContext
from app.inference.store import ModelStore
from app.metrics import definitions
from app.metrics.recorder import Metrics
from app.reloading import reloading
from app.service import Service
from app.settings import Settings
from app.streams import Streams
from app.tracing import Tracing

_ROUTES: Final = (
    *(classify, batch, stream, models, huggingface),
    *(inference_metadata, inference_protocol, probes, page),
)
DESCRIPTION: Final = """Hark says what a sound is: post a recording, get class probabilities.

```sh
curl -F file=@sound.wav http://localhost:8000/v1/classify
```
"""


def create_app(settings: Settings, registry: CollectorRegistry | None = None) -> FastAPI:
    """Make the application.

    Args:
        settings: the knobs.
        registry: where metrics are registered; a new one by default.

    Raises:
        ModelError: the store does not have the default model.
        KeysFileError: the file of API keys cannot be read.
        SettingsError: something that is set needs what is not installed.
    """
    metrics = Metrics(
        registry or CollectorRegistry(),
        ModelStore(settings.model_store),
        settings.engine,
        settings.drift_clips,
    )
    service = Service(settings, metrics)
    access = Access(settings)
    tracing = Tracing() if settings.tracing else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        gc.collect()
        gc.freeze()  # what is here now stays: the collector need not walk it again and again
        async with reloading(service):
            yield
        await service.stop()
        if tracing is not None:
            tracing.stop()

    app = FastAPIOffline(
        title="Hark",
        version=version("hark"),
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
        responses=problem_responses(431),
    )
    app.state.service = service
    app.state.access = access
    app.state.streams = Streams(settings.max_streams)
    metrics.watch(definitions.STREAMS_OPEN, lambda: app.state.streams.n_open)
    _surround(app, service, tracing)
    add_problem_handlers(app)
    for module in _ROUTES:
        app.include_router(module.router)
    document_access(app, needs_keys=access.needs_keys)
    return app


def _surround(app: FastAPI, service: Service, tracing: Tracing | None) -> None:
    """Add what every request passes through; the last one added is the first one passed."""
    settings = service.settings
    origins = settings.allowed_origins
    observer = RequestObserver() if tracing is None else tracing
    app.add_middleware(
        BodyLimits, max_bytes=settings.max_upload_bytes, max_seconds=settings.upload_seconds
    )
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST"],
            allow_headers=[
                "Authorization", API_KEY_HEADER, REQUEST_ID_HEADER, TRACEPARENT_HEADER,
            ],
            expose_headers=[REQUEST_ID_HEADER, "Retry-After"],
        )  # fmt: skip
    app.add_middleware(SecurityHeaders, cross_origin=bool(origins))
    app.add_middleware(
        RequestContext,
        metrics=service.metrics,
        is_stopping=lambda: service.stopping,
        observer=observer,
    )
    app.add_middleware(StreamContext, metrics=service.metrics, observer=observer)
    if tracing is not None:
        tracing.surround(app)
