"""How many compute processes there are in a container that has a part of the machine's time."""

import os
import shutil
import subprocess
import sys

import pytest

_COUNT = "from app.settings import Settings; print(Settings().workers)"
# What a container sees of its own cgroup, of either version, put in place of this machine's.
_MOUNT = "mount --types tmpfs tmpfs /sys/fs/cgroup && cd /sys/fs/cgroup && "
_VERSION_1 = (
    "mkdir cpu && echo {quota} > cpu/cpu.cfs_quota_us && echo {period} > cpu/cpu.cfs_period_us"
)
_VERSION_2 = "echo {quota} {period} > cpu.max"


def _workers_in_container(write: str, quota: str, period: int) -> int:
    if shutil.which("unshare") is None or os.geteuid() != 0:
        pytest.skip("mounting a cgroup for a process needs unshare and root")
    script = _MOUNT + write.format(quota=quota, period=period) + ' && exec "$@"'
    here = {name: value for name, value in os.environ.items() if name != "HARK_WORKERS"}
    counted = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", script, "sh", sys.executable, "-c", _COUNT],
        env={**here, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert counted.returncode == 0, counted.stderr
    return int(counted.stdout)


@pytest.mark.parametrize(
    ("write", "unlimited"),
    [(_VERSION_1, "-1"), (_VERSION_2, "max")],
    ids=["cgroup-v1", "cgroup-v2"],
)
def test_workers_follow_the_containers_quota(write: str, unlimited: str) -> None:
    processors = len(os.sched_getaffinity(0))
    assert _workers_in_container(write, "50000", 100_000) == 1  # half a processor
    assert _workers_in_container(write, str(processors * 100_000), 100_000) == processors
    assert _workers_in_container(write, "6400000", 100_000) == processors  # there are no more
    assert _workers_in_container(write, unlimited, 100_000) == processors


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor is all there is")
def test_workers_follow_the_processors_that_they_may_run_on() -> None:
    one = str(min(os.sched_getaffinity(0)))
    counted = subprocess.run(
        ["taskset", "--cpu-list", one, sys.executable, "-c", _COUNT],
        env={name: value for name, value in os.environ.items() if name != "HARK_WORKERS"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(counted.stdout) == 1
