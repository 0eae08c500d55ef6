"""Headers that tell browsers what an answer may do in them: nothing but what it is for."""

from collections.abc import Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_EVERYWHERE: Final = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_DATA_POLICY: Final = b"default-src 'none'; frame-ancestors 'none'"
# What a plain answer has, where nothing adds it: outside of all middleware.
HEADERS_OF_DATA: Final = {
    name.decode(): value.decode()
    for name, value in (*_EVERYWHERE, (b"content-security-policy", _DATA_POLICY))
}
# The page's own policy: what this service sends, and the sounds that people hand to the page.
HEADERS_OF_THE_PAGE: Final = {
    "Content-Security-Policy": "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "worker-src 'self'",
            "style-src 'self'",
            "font-src 'self'",
            "img-src 'self' data: blob:",
            "media-src 'self' blob:",
            "connect-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    ),
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
_POLICY: Final = b"content-security-policy"
# Swagger's page starts itself by a script in the page, and brings its pictures as data.
_SWAGGER_POLICY: Final = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class SecurityHeaders:
    """Adds the headers to each answer; a policy only where the answer brings none of its own.

    Args:
        app: what answers.
        cross_origin: whether pages of other origins may read answers.
    """

    def __init__(self, app: ASGIApp, *, cross_origin: bool) -> None:
        self._app = app
        self._headers = [
            (name, b"cross-origin" if cross_origin and name.startswith(b"cross") else value)
            for name, value in _EVERYWHERE
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            # A WebSocket's is that of a refusal, which is an HTTP answer.
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = message["headers"]
                message["headers"] = [*headers, *self._headers, *_policy_for(headers)]
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _policy_for(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the policy that an answer with these headers lacks."""
    known = dict(headers)
    if _POLICY in known:
        return []
    is_document = known.get(b"content-type", b"").startswith(b"text/html")
    return [(_POLICY, _SWAGGER_POLICY if is_document else _DATA_POLICY)]
