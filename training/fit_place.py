"""FitPlace: who is told how a run's fits go on, and where each keeps what must not be lost."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from app.progress import Begin, silent
from training.examples import Examples
from training.fit import FittedModel, fit_model, report_epochs
from training.recipe import Recipe
from training.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class FitPlace:
    """Surroundings of fits. It can be carried to another process.

    Attributes:
        begin: is told how the fits go on.
        keep: keeps their checkpoints, where a run has a folder for them.
        curves: below it TensorBoard finds each fit's curves; None for none.
    """

    begin: Begin = silent
    keep: RunFolder | None = None
    curves: Path | None = None

    def fit(
        self,
        what: str,
        recipe: Recipe,
        examples: Examples,
        validation: Examples | None = None,
        epochs: int | None = None,
    ) -> FittedModel:
        """Fit one model; `what` is what the fit is called, other arguments as `fit_model`'s."""
        return fit_model(
            recipe,
            examples,
            validation,
            epochs,
            report_epochs(self.begin(what, epochs or recipe.training.epochs)),
            self.checkpoint(what),
            self.curves_of(what),
        )

    def checkpoint(self, what: str) -> Path | None:
        """Return where a fit's checkpoint is kept, on a machine that has the run's folder."""
        if self.keep is None or not self.keep.is_here:
            return None
        return self.keep.checkpoint(_in_a_folder(what))

    def curves_of(self, what: str) -> Path | None:
        """Return where a fit's curves are written."""
        return None if self.curves is None else self.curves / quote(_in_a_folder(what), safe=" ")


def _in_a_folder(what: str) -> str:
    """Return "fold 1 fitting" of "fold 1: fitting", and another name of every other fit."""
    return " ".join(what.rsplit(": ", 1))


NOWHERE: Final = FitPlace()  # nobody is told, and nothing is kept
