"""Live audio over a WebSocket: a client sends what it records, and hears what that is."""

from typing import Final

from fastapi import APIRouter, WebSocket

from app.api.stream_context import STREAM_PATH
from app.api.stream_session import StreamSession
from app.errors import ForeignOriginError, UpgradeRequiredError

router = APIRouter(tags=["stream"])

_ANY: Final = "*"


@router.websocket(STREAM_PATH)
async def stream(websocket: WebSocket) -> None:
    """Say what a sound is while it is going on."""
    state = websocket.app.state
    _check_origin(websocket, state.service.settings.allowed_origins)
    await StreamSession(websocket, state.service, state.access, state.streams).run()


@router.get(STREAM_PATH, include_in_schema=False)
async def refuse_plain_request() -> None:
    """Say that this takes a WebSocket."""
    raise UpgradeRequiredError(
        "Live audio takes a WebSocket, which this request did not ask for. Connect to "
        "ws://…/v1/stream, or run `hark listen`."
    )


def _check_origin(websocket: WebSocket, allowed: list[str]) -> None:
    """Refuse a page of another host: browsers let any page open a WebSocket to anywhere.

    Raises:
        ForeignOriginError: a browser says that such a page asks.
    """
    origin = websocket.headers.get("origin")
    if origin is None or _ANY in allowed or origin in allowed:
        return
    if origin.partition("://")[2].lower() != websocket.headers.get("host", "").lower():
        raise ForeignOriginError(
            f"A page of {origin[:200]} may not open streams here. The operator can allow it by "
            "HARK_CORS_ORIGINS."
        )
