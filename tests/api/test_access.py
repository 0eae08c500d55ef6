"""API keys, their scopes and their rotation; how often a client may ask, and who a client is."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from app.api_keys import hash_of, make_key
from tests.api.test_problems import check_problem
from tests.live_server import LiveServer, live_server
from tests.two_versions import SIREN, eventually

CLASSIFY, ADMIN, BOTH, STRANGER = (make_key() for _ in range(4))
SCOPES = {
    CLASSIFY: ("dashboard", ["classify"]),
    ADMIN: ("operator", ["admin"]),
    BOTH: ("both", ["classify", "admin"]),
}
QUICK = {"HARK_ENGINE": "onnx", "HARK_WORKERS": "1", "HARK_DRAIN_SECONDS": "0"}
RELOAD = "/v1/models/urbansound/reload"


def entry(key: str, name: str, scopes: list[str]) -> str:
    return f'[[keys]]\nname = "{name}"\nsha256 = "{hash_of(key)}"\nscopes = {scopes!r}\n'


ALL_KEYS = "\n".join(entry(key, name, scopes) for key, (name, scopes) in SCOPES.items())


class Keyed:
    """A server with a file of keys."""

    def __init__(self, server: LiveServer, keys_file: Path) -> None:
        self.server = server
        self.keys_file = keys_file

    def get(self, key: str | None, path: str = "/v1/models") -> httpx.Response:
        return httpx.get(self.server.url + path, headers=bearer(key))

    def post(self, key: str | None, path: str = "/v1/classify") -> httpx.Response:
        return httpx.post(self.server.url + path, files={"file": SIREN}, headers=bearer(key))

    def replace_keys(self, content: str) -> None:
        """Exchange the file by a rename, as careful editors and orchestrators do."""
        new = self.keys_file.with_suffix(".new")
        new.write_text(content)
        new.replace(self.keys_file)


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def keyed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    folder = tmp_path_factory.mktemp("keyed")
    keys_file = folder / "keys.toml"
    keys_file.write_text(ALL_KEYS)
    with live_server(folder / "log", **QUICK, HARK_API_KEYS_FILE=str(keys_file)) as server:
        yield Keyed(server, keys_file)


@pytest.fixture
def keyed(keyed_server: Keyed) -> Keyed:
    keyed_server.replace_keys(ALL_KEYS)
    return keyed_server


# Keys


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/classify"),
        ("POST", "/v1/models/urbansound/classify"),
        ("POST", "/v1/models/urbansound/versions/1/classify"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/urbansound"),
        ("POST", RELOAD),
    ],
)
@pytest.mark.parametrize(
    ("key", "code"),
    [(None, "missing_key"), (STRANGER, "unknown_key"), ("", "missing_key")],
    ids=["none", "a stranger's", "empty"],
)
def test_without_a_key_that_is_known_there_is_no_answer(
    keyed: Keyed, method: str, path: str, key: str | None, code: str
) -> None:
    response = httpx.request(method, keyed.server.url + path, headers={"X-API-Key": key or ""})
    check_problem(response, 401, code)
    assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {CLASSIFY}"},
        {"Authorization": f"bearer {CLASSIFY}"},
        {"X-API-Key": CLASSIFY},
        {"X-API-Key": CLASSIFY, "Authorization": "Basic dXNlcjpwYXNz"},
    ],
)
def test_a_key_is_sent_in_either_header(keyed: Keyed, headers: dict[str, str]) -> None:
    url = f"{keyed.server.url}/v1/classify"
    response = httpx.post(url, files={"file": SIREN}, headers=headers)
    assert response.status_code == 200, response.text
    assert response.json()["label"] == "siren"


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": CLASSIFY},
        {"Authorization": f"Basic {CLASSIFY}"},
        {"Authorization": f"Bearer {CLASSIFY}x"},
        {"Authorization": f"Bearer {CLASSIFY[:-1]}"},
        {"Authorization": f"Bearer {CLASSIFY.upper()}"},
        {"Authorization": f"Bearer {hash_of(CLASSIFY)}"},
        {"X-API-Key": "\xff\xfe"},
        {"X-API-Key": "k" * 10_000},
        {"Cookie": f"key={CLASSIFY}"},
    ],
)
def test_what_only_resembles_a_key_is_refused(keyed: Keyed, headers: dict[str, str]) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    response = httpx.get(
        f"{keyed.server.url}/v1/models", headers=[(k.encode(), v) for k, v in encoded.items()]
    )
    assert response.status_code == 401
    assert response.json()["code"] in {"missing_key", "unknown_key"}


def test_a_key_in_the_address_is_none(keyed: Keyed) -> None:
    response = httpx.get(f"{keyed.server.url}/v1/models", params={"api_key": CLASSIFY})
    check_problem(response, 401, "missing_key")


def test_a_key_is_for_its_scopes_and_nothing_else(keyed: Keyed) -> None:
    assert keyed.post(CLASSIFY).status_code == 200
    refused = keyed.post(CLASSIFY, RELOAD)
    check_problem(refused, 403, "forbidden")
    assert "'dashboard'" in refused.json()["detail"]
    assert "'admin'" in refused.json()["detail"]

    assert keyed.post(ADMIN, RELOAD).json()["outcome"] == "unchanged"
    check_problem(keyed.post(ADMIN), 403, "forbidden")

    assert keyed.post(BOTH, RELOAD).status_code == 200
    assert keyed.post(BOTH).status_code == 200


def test_a_refusal_comes_before_the_model_is_looked_for(keyed: Keyed) -> None:
    """So that a stranger does not learn which models there are."""
    check_problem(keyed.post(None, "/v1/models/nothing/classify"), 401, "missing_key")
    check_problem(keyed.post(CLASSIFY, "/v1/models/nothing/reload"), 403, "forbidden")


@pytest.mark.parametrize(
    "path", ["/", "/samples", "/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/nothing"]
)
def test_what_orchestrators_and_readers_ask_for_needs_no_key(keyed: Keyed, path: str) -> None:
    assert keyed.get(None, path).status_code == (404 if path == "/nothing" else 200)


def test_no_key_and_no_hash_is_ever_written_down(keyed: Keyed) -> None:
    answers = [
        keyed.get(key, path).text + keyed.post(key, path).text
        for key in (*SCOPES, STRANGER)
        for path in ("/v1/models", "/v1/classify", RELOAD, "/metrics", "/openapi.json")
    ]
    written = "".join(answers) + keyed.server.log.read_text()
    assert '"client": "dashboard"' in written, "the log names a key's owner"
    for key in (*SCOPES, STRANGER):
        assert key not in written
        assert hash_of(key) not in written


# Rotation


def rewrite(keyed: Keyed, content: str) -> None:
    keyed.keys_file.write_text(content)


@pytest.mark.parametrize("write", [rewrite, Keyed.replace_keys], ids=["in place", "by a rename"])
def test_keys_are_exchanged_without_a_restart(
    keyed: Keyed, write: Callable[[Keyed, str], None]
) -> None:
    assert keyed.get(CLASSIFY).status_code == 200
    check_problem(keyed.get(STRANGER), 401, "unknown_key")
    write(keyed, entry(STRANGER, "successor", ["classify"]))
    assert eventually(lambda: keyed.get(STRANGER).status_code == 200)
    check_problem(keyed.get(CLASSIFY), 401, "unknown_key")


def test_a_scope_is_taken_away_without_a_restart(keyed: Keyed) -> None:
    assert keyed.post(BOTH, RELOAD).status_code == 200
    keyed.replace_keys(entry(BOTH, "both", ["classify"]))
    assert eventually(lambda: keyed.post(BOTH, RELOAD).status_code == 403)
    assert keyed.get(BOTH).status_code == 200


BROKEN = {
    "no TOML": "[[keys]\nname = ",
    "no text": "\x00\x01",
    "empty": "",
    "no key": "keys = []",
    "a hash that is none": '[[keys]]\nname = "x"\nsha256 = "secret"\nscopes = ["classify"]\n',
    "a hash in capitals": (f'[[keys]]\nname = "x"\nsha256 = "{"A" * 64}"\nscopes = ["classify"]\n'),
    "no scope": f'[[keys]]\nname = "x"\nsha256 = "{"a" * 64}"\nscopes = []\n',
    "an unknown scope": f'[[keys]]\nname = "x"\nsha256 = "{"a" * 64}"\nscopes = ["root"]\n',
    "an unknown field": ALL_KEYS + 'expires = "never"\n',
    "a name with a line break": (
        f'[[keys]]\nname = "x\\ny"\nsha256 = "{"a" * 64}"\nscopes = ["classify"]\n'
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_keeps_the_keys_from_before_and_the_log_says_why(
    keyed: Keyed, name: str
) -> None:
    assert keyed.get(CLASSIFY).status_code == 200
    begin = len(keyed.server.log.read_text())
    keyed.replace_keys(BROKEN[name])
    assert keyed.get(CLASSIFY).status_code == 200
    check_problem(keyed.get(STRANGER), 401, "unknown_key")
    lines = [
        line for line in keyed.server.log.read_text()[begin:].splitlines() if "are kept" in line
    ]
    assert len(lines) == 1, "it is said once, and not with each request"
    assert str(keyed.keys_file) in lines[0]


def test_a_file_that_vanishes_keeps_the_keys_from_before(keyed: Keyed) -> None:
    keyed.keys_file.unlink()
    assert keyed.get(CLASSIFY).status_code == 200
    assert "cannot be read: No such file" in keyed.server.log.read_text()
    keyed.replace_keys(entry(STRANGER, "successor", ["classify"]))
    assert eventually(lambda: keyed.get(STRANGER).status_code == 200)


@pytest.mark.parametrize("name", ["missing", "a folder", "bytes", "no TOML", "an unknown scope"])
def test_a_file_that_cannot_be_used_stops_the_start_with_a_sentence(
    tmp_path: Path, name: str
) -> None:
    keys_file = tmp_path / "keys.toml"
    if name == "a folder":
        keys_file.mkdir()
    elif name == "bytes":
        keys_file.write_bytes(b"\xff\xfe\xfd")
    elif name in BROKEN:
        keys_file.write_text(BROKEN[name])
    server = LiveServer({**QUICK, "HARK_API_KEYS_FILE": str(keys_file)}, tmp_path / "log")
    assert server.process.wait(timeout=30) == 1
    log = server.log.read_text()
    assert log.startswith(f"hark: {keys_file}")
    assert "Traceback" not in log
    assert log.count("\n") == 1


# Without keys, and how often


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Starts servers that the tests of this file share, by their settings."""
    running: dict[tuple[tuple[str, str], ...], str] = {}
    with ExitStack() as stack:

        def start(**settings: str) -> str:
            key = tuple(sorted(settings.items()))
            if key not in running:
                log = tmp_path_factory.mktemp("limited") / "log"
                server = stack.enter_context(live_server(log, **QUICK, **settings))
                running[key] = server.url
            return running[key]

        yield start


def client_at(address: str) -> httpx.Client:
    """A client that asks from an address of this machine."""
    return httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=30)


def statuses(client: httpx.Client, url: str, n: int, **headers: str) -> list[int]:
    return [
        client.post(f"{url}/v1/classify", files={"file": SIREN}, headers=headers).status_code
        for _ in range(n)
    ]


def test_without_a_file_of_keys_anyone_may_classify_and_nobody_administer(
    servers: Callable[..., str],
) -> None:
    url = servers(HARK_RATE_LIMIT="5/hour")
    with client_at("127.0.0.5") as client:
        assert statuses(client, url, 1) == [200]
        for key in (None, BOTH):
            response = client.post(url + RELOAD, headers=bearer(key))
            check_problem(response, 403, "forbidden")
            assert "HARK_API_KEYS_FILE" in response.json()["detail"]


def test_a_client_that_asks_too_often_is_told_when_to_ask_again(
    servers: Callable[..., str],
) -> None:
    url = servers(HARK_RATE_LIMIT="5/hour")
    with client_at("127.0.0.2") as client, client_at("127.0.0.3") as other:
        assert statuses(client, url, 7) == [200] * 5 + [429] * 2
        response = client.post(f"{url}/v1/classify", files={"file": SIREN})
        check_problem(response, 429, "rate_limited")
        # An hour's window may end at once, so only what may be said is checked.
        seconds = int(response.headers["retry-after"])
        assert 1 <= seconds <= 7_200
        assert f"Wait {seconds} seconds" in response.json()["detail"]
        assert statuses(other, url, 1) == [200], "another address pays for it"
        for path in ("/livez", "/readyz", "/metrics", "/docs"):
            assert client.get(url + path).status_code == 200


def test_who_waits_as_long_as_told_is_served(servers: Callable[..., str]) -> None:
    url = servers(HARK_RATE_LIMIT="2/second")
    with client_at("127.0.0.1") as client:
        for _ in range(3):
            while (
                response := client.post(f"{url}/v1/classify", files={"file": SIREN})
            ).status_code == 200:
                pass
            check_problem(response, 429, "rate_limited")
            time.sleep(int(response.headers["retry-after"]))
            assert statuses(client, url, 1) == [200]


def test_a_forwarded_address_is_not_believed_from_strangers(servers: Callable[..., str]) -> None:
    url = servers(HARK_RATE_LIMIT="5/hour")
    with client_at("127.0.0.4") as client:
        answered = [
            statuses(client, url, 1, **{"X-Forwarded-For": f"198.51.100.{number}"})[0]
            for number in range(6)
        ]
    assert answered == [200] * 5 + [429]


def test_a_forwarded_address_is_believed_from_the_proxy_that_is_named(
    servers: Callable[..., str],
) -> None:
    url = servers(HARK_RATE_LIMIT="3/hour", HARK_TRUSTED_PROXIES="127.0.0.1")
    with client_at("127.0.0.1") as proxy, client_at("127.0.0.2") as stranger:
        one, other = ({"X-Forwarded-For": f"198.51.100.{number}"} for number in (1, 2))
        assert statuses(proxy, url, 4, **one) == [200, 200, 200, 429]
        assert statuses(proxy, url, 1, **other) == [200]
        # What the client itself wrote stands before what the proxy has seen.
        forged = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}
        assert statuses(proxy, url, 1, **forged) == [429]
        assert statuses(stranger, url, 4, **other) == [200, 200, 200, 429]


def test_an_ipv6_client_is_the_network_that_it_is_given(servers: Callable[..., str]) -> None:
    """It may choose among all addresses of it, and each would be a fresh start."""
    url = servers(HARK_RATE_LIMIT="3/hour", HARK_TRUSTED_PROXIES="127.0.0.1")
    with client_at("127.0.0.1") as proxy:
        answered = [
            statuses(proxy, url, 1, **{"X-Forwarded-For": f"2001:db8:1:2::{number}"})[0]
            for number in range(1, 5)
        ]
        assert answered == [200, 200, 200, 429]
        neighbour = {"X-Forwarded-For": "2001:db8:1:3::1"}
        assert statuses(proxy, url, 1, **neighbour) == [200]


def test_keys_are_counted_each_for_itself_and_wherever_they_come_from(
    servers: Callable[..., str], tmp_path: Path
) -> None:
    keys_file = tmp_path / "keys.toml"
    keys_file.write_text(ALL_KEYS)
    url = servers(HARK_RATE_LIMIT="3/hour", HARK_API_KEYS_FILE=str(keys_file))
    with client_at("127.0.0.1") as client, client_at("127.0.0.2") as elsewhere:
        assert statuses(client, url, 2, **bearer(CLASSIFY)) == [200, 200]
        assert statuses(client, url, 2) == [401, 401], "no key, and no part of anybody's limit"
        assert statuses(elsewhere, url, 2, **bearer(CLASSIFY)) == [200, 429]
        assert statuses(client, url, 1, **bearer(BOTH)) == [200]
        # Whoever administers the service is not kept from it.
        for _ in range(5):
            assert client.post(url + RELOAD, headers=bearer(BOTH)).status_code == 200


@pytest.mark.parametrize("limit", ["often", "5", "5/fortnight", "-1/minute", "/minute", ""])
def test_a_limit_that_is_none_is_named_at_the_start(tmp_path: Path, limit: str) -> None:
    server = LiveServer({**QUICK, "HARK_RATE_LIMIT": limit}, tmp_path / "log")
    try:
        assert server.process.wait(timeout=30) == 1
    finally:
        server.process.kill()
    log = server.log.read_text()
    assert log.startswith("hark: HARK_RATE_LIMIT:")
    assert log.count("\n") == 1


# The document

PUBLIC = {"/", "/livez", "/readyz", "/metrics", "/v2", "/v2/health/live", "/v2/health/ready"}


def secured(document: dict[str, dict[str, dict[str, dict[str, object]]]]) -> dict[str, bool]:
    return {
        path: bool(operation.get("security"))
        for path, operations in document["paths"].items()
        for operation in operations.values()
    }


def test_the_document_asks_for_a_key_where_the_service_does(keyed: Keyed) -> None:
    document = keyed.get(None, "/openapi.json").json()
    routes = secured(document)
    assert routes == {path: path not in PUBLIC for path in routes}
    assert len(routes) >= 9
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_the_document_of_an_open_service_asks_for_none(servers: Callable[..., str]) -> None:
    routes = secured(httpx.get(servers(HARK_RATE_LIMIT="5/hour") + "/openapi.json").json())
    assert len(routes) >= 9
    assert not any(routes.values())
