"""The pruner of a sweep: which trials are ended before all rounds are fitted."""

from statistics import median

from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class BelowMedian(BasePruner):
    """Ends a trial that is below the median of the complete ones after as many rounds.

    What a trial has reported last counts. Optuna's own `MedianPruner` takes the best of all that it
    has reported: with means over rounds, one lucky first round would keep a trial to the end.

    Args:
        n_startup_trials: as long as fewer are complete, none is ended.
    """

    def __init__(self, n_startup_trials: int) -> None:
        self._n_startup_trials = n_startup_trials

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Return whether the trial is to be ended."""
        step = trial.last_step
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        if step is None or len(complete) < self._n_startup_trials:
            return False
        return trial.intermediate_values[step] < median(
            each.intermediate_values[step] for each in complete
        )
