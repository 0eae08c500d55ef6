"""RunFolder: where a run keeps each fit's checkpoint until it is done, so that it can go on."""

import fcntl
import json
import os
import shutil
import weakref
from pathlib import Path
from typing import Any
from urllib.parse import quote

from training.run_error import RunError
from training.run_identity import Identity, check_same, default_folder
from training.written_whole import write_whole


class RunFolder:
    """Checkpoints of one recipe on one data set, in `unfinished` below a folder.

    The folder is this object's alone, in this process: two runs there would go on from each other's
    fits. It can be carried to another process, which then keeps checkpoints in it for this one.

    Args:
        identity: digests of all that decides the run's result, by what each is of.
        folder: the run's folder; by default one below `runs`, named by recipe, data and digest.
        name: how a folder below `runs` begins.
        resume: go on with what is there, else refuse it.

    Raises:
        RunError: a run goes on in the folder; or it holds an unfinished one that is another's, is
            of nobody knows what, or is not to be resumed.
    """

    def __init__(self, identity: Identity, folder: Path | None, name: str, resume: bool) -> None:
        self._is_default = folder is None
        self._folder = folder or default_folder(name, identity)
        self._unfinished = self._folder / "unfinished"
        self._unfinished.mkdir(parents=True, exist_ok=True)
        self._release = weakref.finalize(self, os.close, self._locked())
        identity_path = self._unfinished / "run.json"
        if any(self._unfinished.glob("*.npz")):
            if not identity_path.exists():
                raise RunError(
                    f"{self._unfinished} holds fits, and nothing that says of what: remove it to "
                    "begin anew"
                )
            check_same(identity_path, identity, "an unfinished run")
            if not resume:
                raise RunError(
                    f"{self._unfinished} holds an interrupted run: go on with it by --resume, or "
                    "remove it to begin anew"
                )
        write_whole(identity_path, json.dumps(identity))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_release"}

    def _locked(self) -> int:
        """Return the descriptor of a file that no other process has locked, nor will."""
        descriptor = os.open(self._unfinished / "lock", os.O_CREAT | os.O_RDWR, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise RunError(
                f"a run goes on in {self._folder}: wait until it has ended, or name another folder "
                "by --out"
            ) from error
        return descriptor

    @property
    def is_here(self) -> bool:
        """Whether this machine has the folder: another one that fits for the run may not."""
        return self._unfinished.is_dir()

    def checkpoint(self, fit: str) -> Path:
        """Return where a fit's checkpoint is kept."""
        return self._unfinished / f"{quote(fit, safe=' ')}.npz"

    def note_version(self, folder: Path) -> None:
        """Keep which version the run has written, so that going on writes no second one."""
        write_whole(self._version_path, str(folder.resolve()))

    def noted_version(self) -> Path | None:
        """Return the folder of the version that the run has written, if it is still there."""
        if not self._version_path.exists():
            return None
        folder = Path(self._version_path.read_text(encoding="utf-8"))
        return folder if folder.is_dir() else None

    @property
    def _version_path(self) -> Path:
        return self._unfinished / "version"

    def finish(self) -> None:
        """Remove the checkpoints, and the folder where nobody named it."""
        # Under another name first: who is interrupted here must not find a part of them later.
        done = self._unfinished.with_name("finished")
        shutil.rmtree(done, ignore_errors=True)  # of one who was
        self._unfinished.rename(done)
        shutil.rmtree(done)
        self._release()
        if self._is_default:
            self._folder.rmdir()
