"""The compute processes that a service has started, as the system lists them."""

from pathlib import Path


def worker_ids(parent: int) -> set[int]:
    """Return the compute processes of a parent that live."""
    return {
        process_id
        for process_id in (int(path.name) for path in Path("/proc").glob("[0-9]*"))
        if _parent_of(process_id) == parent and b"worker_main" in _command_of(process_id)
    }


def _parent_of(process_id: int) -> int | None:
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if stat[0] == "Z" else int(stat[1])


def _command_of(process_id: int) -> bytes:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
