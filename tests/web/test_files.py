"""What the page is made of, over HTTP: types, caching, policy, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api import page
from tests.conftest import SAMPLES
from tests.live_server import LiveServer


@pytest.fixture
def files(web_server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web_server.url) as client:
        yield client


def directives(response: httpx.Response) -> dict[str, str]:
    policy = response.headers["content-security-policy"]
    return dict(directive.strip().split(" ", 1) for directive in policy.split(";"))


def test_the_page_may_run_its_own_files_and_nothing_else(files: httpx.Client) -> None:
    response = files.get("/")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = directives(response)
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    for kind in ("script-src", "style-src", "connect-src", "font-src", "worker-src"):
        assert policy[kind] == "'self'"
    assert "unsafe" not in response.headers["content-security-policy"]
    assert "http" not in response.headers["content-security-policy"]
    assert "://" not in response.text


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/static/main.js", "text/javascript; charset=utf-8"),
        ("/static/style.css", "text/css; charset=utf-8"),
        ("/static/icon.svg", "image/svg+xml"),
        ("/static/fonts/newsreader-500.woff2", "font/woff2"),
        ("/samples/siren.mp3", "audio/mpeg"),
    ],
)
def test_a_copy_is_kept_as_long_as_it_holds(files: httpx.Client, path: str, kind: str) -> None:
    first = files.get(path)
    assert (first.status_code, first.headers["content-type"]) == (200, kind)
    assert first.headers["cache-control"] == "no-cache"
    again = files.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert directives(again) == directives(first)
    head = files.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(first.content))


def test_every_module_is_there(files: httpx.Client) -> None:
    names = [file.relative_to(page.WEB_FOLDER) for file in page.WEB_FOLDER.rglob("*.js")]
    assert len(names) > 10
    for name in names:
        assert files.get(f"/{name}").status_code == 200


def test_the_samples_are_listed_and_sent(files: httpx.Client) -> None:
    names = files.get("/samples").json()["samples"]
    assert names == sorted(path.name for path in SAMPLES.iterdir() if path.suffix != ".py")
    for name in names:
        assert files.get(f"/samples/{name}").content == (SAMPLES / name).read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/samples/make_samples.py",
        "/samples/nothing.mp3",
        "/samples/..%2Fmodel_store%2Fsiren.wav",
        "/static/index.html",
        "/static/",
        "/static/..%2Findex.html",
        "/static/%2Fetc%2Fpasswd",
        "/static/%00",
    ],
)
def test_nothing_else_is_sent(files: httpx.Client, path: str) -> None:
    response = files.get(path)
    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


def test_an_installed_package_has_no_samples(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They lie beside the package, and are not part of it."""
    monkeypatch.setattr(page, "SAMPLES_FOLDER", tmp_path / "nothing")
    assert page.list_samples().samples == []


def test_the_document_tells_of_the_page_and_not_of_its_files(files: httpx.Client) -> None:
    paths = files.get("/openapi.json").json()["paths"]
    assert [path for path in paths if path.startswith(("/static", "/samples"))] == []
    assert set(paths["/"]) == {"get", "post"}
    refused = files.delete("/")
    assert refused.status_code == 405
    assert refused.headers["allow"] == "GET, HEAD, POST"
