"""create_app: the application, from settings. The lifespan starts and stops the workers."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CollectorRegistry

from app.api import classify, models, probes
from app.api.problems import add_problem_handlers
from app.api.request_context import RequestContext
from app.metrics import Metrics
from app.service import Service
from app.settings import Settings

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
    """
    metrics = Metrics(registry or CollectorRegistry())
    service = Service(settings, metrics)
    service.resolve()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.workers.start()
        gc.collect()
        gc.freeze()  # what is here now stays: the collector need not walk it again and again
        yield
        await service.stop()

    app = FastAPIOffline(
        title="Hark",
        version=version("hark"),
        description=DESCRIPTION,
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.service = service
    app.add_middleware(RequestContext, metrics=metrics)
    add_problem_handlers(app)
    app.add_api_route("/", _to_documentation, include_in_schema=False)
    for module in (classify, models, probes):
        app.include_router(module.router)
    return app


async def _to_documentation() -> RedirectResponse:
    return RedirectResponse("docs")
