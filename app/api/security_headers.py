"""Headers that tell browsers what an answer may do in them: nothing but what it is for."""

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
# Swagger's page starts itself by a script in the page, and brings its pictures as data.
_PAGE_POLICY: Final = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    b"img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


class SecurityHeaders:
    """Adds the headers to each answer.

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
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                is_page = any(
                    name == b"content-type" and value.startswith(b"text/html")
                    for name, value in headers
                )
                policy = _PAGE_POLICY if is_page else _DATA_POLICY
                message["headers"] = [
                    *headers, *self._headers, (b"content-security-policy", policy),
                ]  # fmt: skip
            await send(message)

        await self._app(scope, receive, send_with_headers)
