"""An image that buildah has built, and containers of it on a read-only root file system.

buildah runs no containers with all that an image asks for. So a container is what it is made of:
the image's files, mounted read-only in a mount namespace of their own, with /proc, /dev and an
empty /tmp, and in it the image's own command, as the image's own user, with the image's
environment alone. There is no network namespace, so the command gets another port.
"""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_ENVIRONMENT = {**os.environ, "BUILDAH_ISOLATION": "chroot"}
_PORT = "8000"

# What is mounted in a container, its own view of its quota (of cgroups v2), and what is run in it.
_CONTAINER = """
mount --make-rprivate /
mount --bind "$root" "$root"
mount --options remount,ro,bind "$root"
mount --types proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --types tmpfs --options mode=1777 tmpfs "$root/tmp"
mount --types tmpfs tmpfs "$root/sys"
mkdir --parents "$root/sys/fs/cgroup"
echo "$cpu_max" > "$root/sys/fs/cgroup/cpu.max"
exec chroot --userspec="$user" "$root" "$@"
"""


def buildah(*arguments: str) -> str:
    """Run buildah, and return what it prints."""
    finished = subprocess.run(
        ["buildah", *arguments], env=_ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


@dataclass(frozen=True)
class Image:
    """An image, and where its files are.

    Attributes:
        name: as buildah knows it.
        config: what it says about how it is run, as `docker inspect` shows it.
        root: its files.
    """

    name: str
    config: dict[str, Any]
    root: Path

    def files_bytes(self) -> int:
        """Return how much its files hold, in bytes."""
        return files_bytes(self.root)

    def command(self, port: int) -> list[str]:
        """Return what it runs, on another port."""
        entry, arguments = self.config.get("Entrypoint") or [], self.config["Cmd"]
        return [part.replace(_PORT, str(port)) for part in (*entry, *arguments)]

    def health_check(self, port: int) -> list[str]:
        """Return what says whether it is well, on another port."""
        kind, *command = self.config["Healthcheck"]["Test"]
        assert kind == "CMD", "a shell would not hand signals on"
        return [part.replace(_PORT, str(port)) for part in command]

    def start(
        self, command: Sequence[str], log: Path, cpu_max: str = "max 100000"
    ) -> subprocess.Popen[bytes]:
        """Run a command in a container, whose process it becomes."""
        environment = dict(each.split("=", 1) for each in self.config["Env"])
        words = ["env", "--ignore-environment", *(f"{k}={v}" for k, v in environment.items())]
        script = (
            f"root={shlex.quote(str(self.root))} user={self.config['User']} "
            f"cpu_max={shlex.quote(cpu_max)}\n{_CONTAINER}"
        )
        with log.open("ab") as output:
            return subprocess.Popen(
                ["unshare", "--mount", "sh", "-eu", "-c", script, "container", *words, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def run(self, command: Sequence[str], log: Path) -> int:
        """Run a command in a container to its end, and return its exit status."""
        return self.start(command, log).wait(timeout=60)


def files_bytes(root: Path) -> int:
    """Return how much the files below a folder hold, in bytes."""
    return sum(
        path.lstat().st_size for path in root.rglob("*") if path.is_file() or path.is_symlink()
    )


def build(target: str, base: str) -> str:
    """Build an image of the Dockerfile by `make image`, and return its name."""
    name = f"localhost/hark-test:{target}"
    made = subprocess.run(
        ["make", "image", f"TARGET={target}", f"IMAGE={name}", f"PYTHON_IMAGE={base}"],
        cwd=_ROOT,
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return name


@contextmanager
def opened(name: str) -> Iterator[Image]:
    """Mount an image's files for as long as the context lasts."""
    container = buildah("from", name)
    try:
        config = json.loads(buildah("inspect", "--type", "image", name))["Docker"]["config"]
        yield Image(name, config, Path(buildah("mount", container)))
    finally:
        buildah("rm", container)


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ask a container to stop, as orchestrators do, and return its exit status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=40)
