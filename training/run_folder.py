"""RunFolder: where a run keeps each fit's checkpoint until it is done, so that it can go on."""

import json
import shutil
from pathlib import Path
from urllib.parse import quote

from training.run_error import RunError
from training.run_identity import Identity, check_same, default_folder
from training.written_whole import write_whole


class RunFolder:
    """Checkpoints of one recipe on one data set, in `unfinished` below a folder.

    Args:
        identity: digests of all that decides the run's result, by what each is of.
        folder: the run's folder; by default one below `runs`, named by recipe, data and digest.
        name: how a folder below `runs` begins.
        resume: go on with what is there, else refuse it.

    Raises:
        RunError: the folder holds an unfinished run that is another's, or is not to be resumed.
    """

    def __init__(self, identity: Identity, folder: Path | None, name: str, resume: bool) -> None:
        self._is_default = folder is None
        self._folder = folder or default_folder(name, identity)
        self._unfinished = self._folder / "unfinished"
        identity_path = self._unfinished / "run.json"
        if identity_path.exists() and any(self._unfinished.glob("*.npz")):
            check_same(identity_path, identity, "an unfinished run")
            if not resume:
                raise RunError(
                    f"{self._unfinished} holds an interrupted run: go on with it by --resume, or "
                    "remove it to begin anew"
                )
        self._unfinished.mkdir(parents=True, exist_ok=True)
        identity_path.write_text(json.dumps(identity))

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
        shutil.rmtree(self._unfinished)
        if self._is_default:
            self._folder.rmdir()
