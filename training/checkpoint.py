"""Checkpoint: all that decides how a fit goes on, saved whole after each epoch.

A fit that goes on from it gives the same model, bit for bit, as one that nobody interrupted. Keras
has `BackupAndRestore`, which does not: it keeps weights, the optimizer's state and the epoch, but
not the seeds of dropout, the history, nor what early stopping remembers. (Batches remember nothing:
the seed and the epoch decide them.)
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.inference import arrays
from training.keras_import import keras
from training.run_error import RunError
from training.written_whole import written_whole

_STOPPING: Final = ("wait", "best", "best_epoch", "stopped_epoch")


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]  # keras ships no types
    """Saves a fit's state after each epoch; restores it where there is one.

    Comes after the early stopping that it remembers: Keras calls both in their order.

    Args:
        path: where the state is kept, and looked for; nowhere, where None.
        stopping: Keras's early stopping, where the fit has one.

    Raises:
        RunError: there is a file that cannot be read, or is another fit's.
    """

    def __init__(self, path: Path | None, stopping: Any | None) -> None:
        super().__init__()
        self._path = path
        self._stopping = stopping
        self._arrays: dict[str, NDArray[Any]] = {}
        self._state: dict[str, Any] = {"stopped": False, "history": {}}
        if path is not None and path.exists():
            self._arrays = load_arrays(path)
            self._state = json.loads(self._arrays["state"].item())

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return len(next(iter(self.history.values()), []))

    @property
    def stopped(self) -> bool:
        """Whether early stopping has ended the fit."""
        return bool(self._state["stopped"])

    @property
    def history(self) -> dict[str, list[float]]:
        """Losses and accuracies after each epoch, those before an interruption included."""
        history: dict[str, list[float]] = self._state["history"]
        return history

    def epochs_in_order(self) -> list[dict[str, float]]:
        """Return the losses and accuracies of each epoch that is done."""
        names = list(self.history)
        return [
            dict(zip(names, values, strict=True))
            for values in zip(*self.history.values(), strict=True)
        ]

    def on_train_begin(self, logs: Any = None) -> None:
        if not self._arrays:
            return
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        variables = list(_variables(self.model))
        saved = [self._arrays[f"variable_{index}"] for index in range(len(self._arrays) - 1)]
        if [tuple(v.shape) for v in variables] != [array.shape for array in saved]:
            raise RunError(f"{self._path} is of another model: remove it to fit anew")
        for variable, array in zip(variables, saved, strict=True):
            variable.assign(array)
        if self._stopping is not None:
            for name in _STOPPING:
                setattr(self._stopping, name, self._state["stopping"][name])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if self._path is None:
            return
        state = {
            "history": self.history,
            "stopped": self.model.stop_training,
            "stopping": {name: getattr(self._stopping, name) for name in _STOPPING}
            if self._stopping is not None
            else None,
        }
        self._state = state
        save_arrays(
            self._path,
            state=np.array(json.dumps(state)),
            **{
                f"variable_{index}": np.asarray(variable)
                for index, variable in enumerate(_variables(self.model))
            },
        )


def _variables(model: Any) -> Iterable[Any]:
    """Yield weights, the seeds of dropout, which are no weights, and the optimizer's state."""
    yield from model.variables
    yield from model.optimizer.variables


def save_arrays(path: Path, **named: NDArray[Any]) -> None:
    """Write arrays so that whoever reads them, after whatever happened, has all or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        np.savez(file, **named)  # type: ignore[arg-type]  # numpy's stub confuses it with allow_pickle
        file.flush()
        os.fsync(file.fileno())


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read what `save_arrays` wrote.

    Raises:
        RunError: the file is damaged.
    """
    try:
        return arrays.load_arrays(path)
    except arrays.DamagedArraysError as error:
        raise RunError(f"{path} is damaged: remove it, and what it kept is fitted anew") from error
