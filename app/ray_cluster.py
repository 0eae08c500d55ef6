"""A Ray cluster: its address on a command line, joining it, and starting one on this machine.

Importing this imports no Ray.
"""

import importlib.util
import os
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from app.errors import first_line

HERE: Final = "local"  # the address that has Ray started on this machine
_PATIENCE_SECONDS: Final = 10  # until a cluster takes a connection


class ClusterError(Exception):
    """No cluster can be joined or started; the message says what to do."""


def with_address(arguments: list[str]) -> list[str]:
    """Write out the address that `--ray` alone stands for: Typer has no options like that."""
    written = []
    for place, argument in enumerate(arguments):
        written.append(argument)
        if argument == "--ray" and (arguments[place + 1 : place + 2] or ["-"])[0].startswith("-"):
            written.append(HERE)
    return written


@contextmanager
def joined(address: str, processors: int) -> Iterator[Any]:
    """Join a Ray cluster, or start one on this machine, while the context lasts.

    Args:
        address: `local` to start one, `auto` for one that runs on this machine, else `host:port`
            or `ray://host:port`.
        processors: how many of this machine a cluster that is started here may use.

    Yields:
        The module `ray`.

    Raises:
        ClusterError: Ray is not installed, or does not answer at the address.
    """
    ray = _ray(address)
    try:
        _check_answers(address)
        on_a_polite_kill = signal.getsignal(signal.SIGTERM)  # Ray takes it, to end at once
        options = _options(address, processors)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **options)
        signal.signal(signal.SIGTERM, on_a_polite_kill)
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"no Ray cluster can be joined at {address} ({first_line(error)}): start one by "
            "`ray start --head`, or leave out the address to start one on this machine"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def live_nodes(ray: Any) -> list[dict[str, float]]:
    """Return what each node of the cluster has, as `CPU` and `GPU`."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _ray(address: str) -> Any:
    """Import Ray, which reads the environment as it is imported."""
    if importlib.util.find_spec("ray") is None:
        raise ClusterError("--ray needs Ray, which is not installed: pip install 'hark[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no request to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # no word on a later default
    if address == HERE:
        # Its processes listen on all interfaces, and do what whoever has the token tells them.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    return ray


def _check_answers(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would try for minutes.

    Raises:
        OSError: nobody does.
        ValueError: it is no address.
    """
    if address in (HERE, "auto"):
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError("an address is auto, HOST:PORT or ray://HOST:PORT")
    socket.create_connection((host, int(port)), timeout=_PATIENCE_SECONDS).close()


def _options(address: str, processors: int) -> dict[str, Any]:
    """Return how Ray is started, where it is: for this machine alone, with no dashboard."""
    if address != HERE:
        return {}
    return {
        "num_cpus": processors,
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }
