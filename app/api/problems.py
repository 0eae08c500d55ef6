"""Problems: every error as `application/problem+json` (RFC 9457), and the status of each."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from app import errors
from app.api.allowed_methods import allowed_methods
from app.api.options import in_words
from app.api.request_context import PROBES, REQUEST_ID_HEADER, record_of
from app.api.security_headers import HEADERS_OF_DATA

logger = logging.getLogger(__name__)

STATUS_OF_ERROR: Final[dict[type[errors.HarkError], int]] = {
    errors.NotAudioError: 415,
    errors.DecoderMissingError: 415,
    errors.UnusableAudioError: 422,
    errors.MalformedRequestError: 400,
    errors.HeadersTooLargeError: 431,
    errors.HeadersTooSlowError: 408,
    errors.InvalidParameterError: 422,
    errors.UpgradeRequiredError: 426,
    errors.MalformedMessageError: 400,
    errors.MisplacedMessageError: 400,
    errors.StreamTooLargeError: 413,
    errors.StreamIdleError: 408,
    errors.UploadTooLargeError: 413,
    errors.UploadTooSlowError: 408,
    errors.CompressedUploadError: 415,
    errors.MalformedUploadError: 400,
    errors.TooManyPartsError: 413,
    errors.PartHeadersTooLargeError: 413,
    errors.MissingFileError: 422,
    errors.DuplicateFileError: 422,
    errors.MissingKeyError: 401,
    errors.UnknownKeyError: 401,
    errors.ForbiddenError: 403,
    errors.ForeignOriginError: 403,
    errors.RateLimitedError: 429,
    errors.UnknownModelError: 404,
    errors.UnknownVersionError: 404,
    errors.UnknownAliasError: 404,
    errors.ReloadRefusedError: 409,
    errors.EngineMissingError: 503,
    errors.ArtifactError: 503,
    errors.NotReadyError: 503,
    errors.OverloadedError: 503,
    errors.TooManyConnectionsError: 503,
    errors.TooManyStreamsError: 503,
    errors.StoppingError: 503,
    errors.WorkerCrashedError: 503,
    errors.OutOfMemoryError: 503,
    errors.DeadlineExceededError: 504,
}

RETRY_AFTER_SECONDS: Final[dict[type[errors.HarkError], int]] = {
    errors.NotReadyError: 5,
    errors.OverloadedError: 1,
    errors.TooManyConnectionsError: 1,
    errors.TooManyStreamsError: 5,
    errors.StoppingError: 1,
    errors.WorkerCrashedError: 1,
    errors.OutOfMemoryError: 1,
    errors.DeadlineExceededError: 5,
}


_LONGEST_INSTANCE: Final = 200
# Status, code, title and detail of what should not be.
_DEFECT: Final = (
    500,
    "internal_error",
    "Something went wrong here",
    "The service failed in a way that it should not. Report it with the request_id.",
)


class Problem(BaseModel):
    """What went wrong, for people (`title`, `detail`) and programs (`code`)."""

    type: str = Field(description="A URN for this kind of problem.")
    title: str = Field(description="The kind of problem, in a few words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was wrong this time, and what to do about it.")
    instance: str = Field(description="The path that was asked for.")
    code: str = Field(description="The kind of problem, for programs.")
    request_id: str = Field(description="Names this request in the service's log.")
    error: str = Field(description="The detail once more, where clients look for a plain string.")


class ProblemResponse(JSONResponse):
    """A problem as an answer."""

    media_type = "application/problem+json"


def problem_response(
    request: Request,
    status: int,
    code: str,
    title: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    """Compose the answer for a problem, and count it, unless it was a probe that asked."""
    record = record_of(request.scope)
    record.code = code
    problem = _problem(status, code, title, detail, request.url.path, record.request_id)
    if request.url.path not in PROBES:
        request.app.state.service.metrics.count_error(code)
    return ProblemResponse(problem.model_dump(), status_code=status, headers=headers)


def problem_of(request: HTTPConnection, error: Exception) -> Problem:
    """Describe, and count, what befell a part of a request, or a live stream."""
    record = record_of(request.scope)
    if isinstance(error, errors.HarkError):
        status, code, title, detail = status_of(type(error)), error.code, error.title, str(error)
    else:
        _log_defect(request, error)
        status, code, title, detail = _DEFECT
    request.app.state.service.metrics.count_error(code)
    return _problem(status, code, title, detail, request.url.path, record.request_id)


def problem_before_a_request(
    error: errors.HarkError, request_id: str, path: str, *, keep_alive: bool
) -> bytes:
    """Compose a whole HTTP answer to what never became a request that a route could answer.

    Args:
        error: what is wrong.
        request_id: the request's name.
        path: what was asked for, where that is known.
        keep_alive: whether the connection stays open after it.
    """
    status = HTTPStatus(status_of(type(error)))
    instance = path.partition("?")[0][:_LONGEST_INSTANCE]
    problem = _problem(status, error.code, error.title, str(error), instance, request_id)
    body = problem.model_dump_json().encode()
    headers = {
        "Content-Type": ProblemResponse.media_type,
        "Content-Length": str(len(body)),
        **({} if keep_alive else {"Connection": "close"}),
        REQUEST_ID_HEADER: request_id,
        **_retry_after(error),
    }
    lines = [f"HTTP/1.1 {status} {status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _problem(
    status: int, code: str, title: str, detail: str, instance: str, request_id: str
) -> Problem:
    return Problem(
        type=f"urn:hark:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        instance=instance,
        code=code,
        request_id=request_id,
        error=detail,
    )


def status_of(error_type: type[errors.HarkError]) -> int:
    """Return the status of an error's nearest base that has one.

    Raises:
        KeyError: none has; a contract test sees to it that this cannot be.
    """
    for base in error_type.__mro__:
        if base in STATUS_OF_ERROR:
            return STATUS_OF_ERROR[base]
    raise KeyError(error_type)


def add_problem_handlers(app: FastAPI) -> None:
    """Have an application answer every error with a problem."""
    app.add_exception_handler(errors.HarkError, _on_hark_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameters)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_defect)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe problems of a route for the OpenAPI document."""
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
        }
        for status in statuses
    }


async def _on_hark_error(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, errors.HarkError)
    status = status_of(type(error))
    headers = _retry_after(error)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem_response(request, status, error.code, error.title, str(error), headers)


def _retry_after(error: errors.HarkError) -> dict[str, str]:
    seconds = RETRY_AFTER_SECONDS.get(type(error))
    if isinstance(error, errors.RateLimitedError):
        seconds = error.retry_seconds
    return {} if seconds is None else {"Retry-After": str(seconds)}


async def _on_invalid_parameters(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, RequestValidationError)
    kind = errors.InvalidParameterError
    detail = in_words(error.errors(), n_outer=1)
    return problem_response(request, 422, kind.code, kind.title, detail)


async def _on_http_exception(request: Request, error: Exception) -> ProblemResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = status.phrase.lower().replace(" ", "_")
    detail = {
        404: f"There is nothing at {request.url.path[:200]}. GET /docs lists what there is.",
        405: f"{request.method} is not possible at {request.url.path[:200]}. See GET /docs.",
    }.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = allowed_methods(request)
    return problem_response(request, status, code, status.phrase, detail, headers)


async def _on_defect(request: Request, error: Exception) -> ProblemResponse:
    _log_defect(request, error)
    return problem_response(
        request,
        *_DEFECT,
        # Starlette answers defects outside of the middleware that adds it elsewhere.
        {REQUEST_ID_HEADER: record_of(request.scope).request_id, **HEADERS_OF_DATA},
    )


def _log_defect(request: HTTPConnection, error: Exception) -> None:
    # The trace belongs into the log, and never into the answer. The server logs it too, since
    # Starlette raises the error on, but does not know of which request.
    logger.error(
        "a request failed in a way that it should not",
        extra={"request_id": record_of(request.scope).request_id},
        exc_info=error,
    )
