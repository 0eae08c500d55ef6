"""The page at /: its files, and the samples that it offers."""

from functools import cache
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.staticfiles import StaticFiles

from app.api.security_headers import HEADERS_OF_THE_PAGE

WEB_FOLDER: Final = Path(__file__).resolve().parents[1] / "web"
# They lie beside the package, as the models do; an installed wheel has none.
SAMPLES_FOLDER: Final = Path(__file__).resolve().parents[2] / "samples"
_SUFFIXES: Final = frozenset({".wav", ".mp3", ".flac", ".ogg", ".opus", ".aiff"})

router = APIRouter(tags=["operations"])
AnyPath = Annotated[str, PathParameter()]


class SampleList(BaseModel):
    """The clips that whoever has no sound at hand may try."""

    samples: list[str]


@router.get("/", response_class=HTMLResponse)
@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def show_page(request: Request) -> Response:
    """Show the page."""
    return await _file(WEB_FOLDER, "index.html", request)


@router.api_route("/static/{path:path}", methods=["GET", "HEAD"], include_in_schema=False)
async def send_static_file(request: Request, path: AnyPath) -> Response:
    """Send what the page is made of."""
    return await _file(WEB_FOLDER / "static", path, request)


@router.api_route("/samples", methods=["GET", "HEAD"], include_in_schema=False)
def list_samples() -> SampleList:
    """List the samples' names; none where the folder is absent."""
    return SampleList(samples=_sample_names())


@router.api_route("/samples/{name}", methods=["GET", "HEAD"], include_in_schema=False)
async def send_sample(request: Request, name: AnyPath) -> Response:
    """Send a sample."""
    if Path(name).suffix not in _SUFFIXES:
        raise HTTPException(404)  # the folder also has the script that makes them
    return await _file(SAMPLES_FOLDER, name, request)


def _sample_names() -> list[str]:
    if not SAMPLES_FOLDER.is_dir():
        return []
    return sorted(path.name for path in SAMPLES_FOLDER.iterdir() if path.suffix in _SUFFIXES)


async def _file(folder: Path, path: str, request: Request) -> Response:
    """Send a file of a folder, or say that the client's copy still holds (by ETag).

    Raises:
        HTTPException: 404, there is no such file in the folder.
    """
    response = await _files_of(folder).get_response(path, request.scope)
    response.headers.update(HEADERS_OF_THE_PAGE)
    response.headers["Cache-Control"] = "no-cache"  # an update shows at once; asking costs little
    return response


@cache
def _files_of(folder: Path) -> StaticFiles:
    return StaticFiles(directory=folder, check_dir=False)
