"""What routes receive."""

from typing import Annotated, Final

from fastapi import Depends, Path, Request

from app.service import Service


async def _service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_service_of)]
ModelNamePath = Annotated[str, Path(description="A model of the store, as /v1/models lists them.")]
VERSION_PATTERN: Final = r"^([1-9][0-9]{0,8}|stable|canary)$"
VersionPath = Annotated[
    str,
    Path(
        pattern=VERSION_PATTERN,
        description="A version of the model: its number, or an alias (stable, canary).",
    ),
]
