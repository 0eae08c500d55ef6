"""Who may do what: API keys with scopes, and how often a client may ask."""

import ipaddress
import math
import time
from typing import Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.openapi.models import HTTPBearer as BearerModel
from fastapi.security.base import SecurityBase
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from app.api.request_context import record_of
from app.api_keys import ApiKey, ApiKeys, Scope
from app.errors import ForbiddenError, MissingKeyError, RateLimitedError, UnknownKeyError
from app.settings import Settings

API_KEY_HEADER: Final = "X-API-Key"
_TIDY_SECONDS: Final = 10.0
_HOW_TO = "Send it as «Authorization: Bearer KEY»."


class Access:
    """What is asked of clients before they are served.

    Args:
        settings: where the keys' file is, and how often a client may ask.

    Raises:
        KeysFileError: the file cannot be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._keys = ApiKeys(settings.api_keys_file) if settings.api_keys_file else None
        self._limiter = _RateLimiter(settings.rate_limit) if settings.rate_limit else None

    @property
    def needs_keys(self) -> bool:
        """Whether classifying takes a key."""
        return self._keys is not None

    async def admit(
        self, connection: HTTPConnection, scope: Scope, key_in_message: str | None = None
    ) -> None:
        """Let a request or a live stream pass, or refuse it.

        Args:
            connection: whose headers may hold a key.
            scope: what it wants to do.
            key_in_message: the key, where it came otherwise: a browser's script cannot set the
                headers of a WebSocket.

        Raises:
            MissingKeyError: it needs a key and has none.
            UnknownKeyError: its key is not known.
            ForbiddenError: its key is not for this.
            RateLimitedError: its client asks too often.
        """
        record = record_of(connection.scope)
        key = self._check_key(_sent_key(connection) or key_in_message, scope)
        if key is not None:
            record.client = key.name
        if self._limiter is not None and scope is Scope.CLASSIFY:
            await self._limiter.admit(f"key {key.name}" if key else _network_of(record.client))

    def _check_key(self, sent: str | None, scope: Scope) -> ApiKey | None:
        if self._keys is None:
            if scope is Scope.ADMIN:
                raise ForbiddenError(
                    "Nobody may administer this service over HTTP, since it knows no API keys. Set "
                    "HARK_API_KEYS_FILE, or send the process SIGHUP."
                )
            return None
        if not sent:
            raise MissingKeyError(f"This service asks for an API key. {_HOW_TO}")
        key = self._keys.find(sent)
        if key is None:
            raise UnknownKeyError(
                f"The API key is not known here, or no longer. Ask the operator for one. {_HOW_TO}"
            )
        if scope not in key.scopes:
            raise ForbiddenError(
                f"The API key {key.name!r} is not for this: it lacks the scope '{scope}'. Ask the "
                "operator for one that has it."
            )
        return key


class RequiredScope(SecurityBase):
    """A dependency that lets through who has a key of a scope; the document names it.

    Args:
        scope: what the key must be for.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.model = BearerModel(description="An API key, as `hark keys new` makes one.")
        self.scheme_name = "API key"

    async def __call__(self, request: Request) -> None:
        """Refuse the request, or let it pass."""
        access: Access = request.app.state.access
        await access.admit(request, self._scope)


MAY_CLASSIFY = Depends(RequiredScope(Scope.CLASSIFY))
MAY_ADMINISTER = Depends(RequiredScope(Scope.ADMIN))


def document_access(app: FastAPI, *, needs_keys: bool) -> None:
    """Have the OpenAPI document ask for keys only if the service knows any."""
    if needs_keys:
        return
    describe = app.openapi

    def describe_open_routes() -> dict[str, Any]:
        document = describe()
        document["components"].pop("securitySchemes", None)
        for path in document["paths"].values():
            for operation in path.values():
                operation.pop("security", None)
        return document

    app.openapi = describe_open_routes  # type: ignore[method-assign]


class _RateLimiter:
    """Counts requests by client, over a sliding window, in the memory of this process."""

    def __init__(self, limit: str) -> None:
        from limits import parse
        from limits.aio.storage import MemoryStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter

        class RarelyTidiedStorage(MemoryStorage):
            """Looks through all clients for those to forget now and then, not at each request."""

            tidied_at = 0.0

            async def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802
                if time.monotonic() - self.tidied_at > _TIDY_SECONDS:
                    self.tidied_at = time.monotonic()
                    await super()._MemoryStorage__schedule_expiry()  # type: ignore[misc]

        self._limit = parse(limit)
        self._limiter = SlidingWindowCounterRateLimiter(RarelyTidiedStorage())

    async def admit(self, client: str) -> None:
        if await self._limiter.hit(self._limit, client):
            return
        window = await self._limiter.get_window_stats(self._limit, client)
        seconds = max(1, math.ceil(window.reset_time - time.time()))
        raise RateLimitedError(
            f"You may ask {self._limit}. Wait {seconds} seconds before the next request.",
            retry_seconds=seconds,
        )


def _sent_key(connection: HTTPConnection) -> str:
    scheme, key = get_authorization_scheme_param(connection.headers.get("Authorization"))
    if scheme.lower() == "bearer" and key:
        return key
    return connection.headers.get(API_KEY_HEADER, "")


def _network_of(address: str | None) -> str:
    """Return what stands for a client: its address, or the network that an IPv6 client is given."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
