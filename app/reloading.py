"""What makes a running service look for new versions by itself: SIGHUP, and the store's folder."""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from app.service import Service

_WATCH_AGAIN_SECONDS: Final = 10.0

logger = logging.getLogger(__name__)


def hangup_means_reload() -> bool:
    """Whether SIGHUP asks for a reload: on a terminal it says that the terminal is gone."""
    return sys.stdin is None or not sys.stdin.isatty()


@asynccontextmanager
async def reloading(service: Service) -> AsyncIterator[None]:
    """Reload all models on SIGHUP and, if that is set, when the store changes."""
    wanted = asyncio.Event()
    loop = asyncio.get_running_loop()
    if hangup_means_reload():
        loop.add_signal_handler(signal.SIGHUP, wanted.set)
    tasks = [asyncio.create_task(_reload_when(wanted, service))]
    if service.settings.watch_models:
        tasks.append(asyncio.create_task(_watch(service, wanted)))
    try:
        yield
    finally:
        if hangup_means_reload():
            loop.remove_signal_handler(signal.SIGHUP)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # or it would end the process now
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _reload_when(wanted: asyncio.Event, service: Service) -> None:
    while True:
        await wanted.wait()
        wanted.clear()
        try:
            await service.reload_all()
        except Exception:
            logger.exception("models could not be reloaded")


async def _watch(service: Service, wanted: asyncio.Event) -> None:
    from watchfiles import awatch

    while True:
        try:
            async for _ in awatch(service.settings.model_store):
                wanted.set()
        except Exception:
            logger.exception("the model store cannot be watched; trying again")
        await asyncio.sleep(_WATCH_AGAIN_SECONDS)
