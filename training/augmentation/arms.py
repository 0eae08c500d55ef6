"""Arms of an ablation: a plan's changes by name, and plans of some of them."""

from collections.abc import Sequence
from typing import Any, Final

from training.augmentation.plan import Augmentation
from training.augmentation.waveform_plan import CHANGE_NAMES, WaveformAugmentation
from training.recipe_error import RecipeError

NONE: Final = "none"
ALL: Final = "all"
_WAVEFORM: Final = "waveform."
# A change's field, and those that only say how much of it there is.
_FEATURE_CHANGES: Final[dict[str, tuple[str, ...]]] = {
    "time_shift": (),
    "gain_decibels": (),
    "equalizer_decibels": (),
    "narrowband_share": (),
    "frequency_shift_bands": (),
    "time_warp_share": (),
    "time_masks": ("time_mask_share",),
    "frequency_masks": ("frequency_mask_share",),
    "mixup_alpha": (),
}


def changes_of(plan: Augmentation) -> list[str]:
    """Return the names of the changes that a plan makes, of any label."""
    names = [name for name in _FEATURE_CHANGES if getattr(plan, name)]
    if plan.waveform is not None:
        labels = [plan.waveform.for_label(label) for label in plan.waveform.by_label]
        made = {name for each in (plan.waveform, *labels) for name, _ in each.in_order()}
        names += [_WAVEFORM + name for name in CHANGE_NAMES if name in made]
    return names


def plan_with(plan: Augmentation, names: Sequence[str]) -> Augmentation:
    """Return a plan that makes some of another's changes, as that makes them."""
    values: dict[str, Any] = {}
    for name, sizes in _FEATURE_CHANGES.items():
        if name in names:
            values |= {field: getattr(plan, field) for field in (name, *sizes)}
    if plan.waveform is not None:
        values["waveform"] = _waveform_with(plan.waveform, names)
    return Augmentation(**values)


def _waveform_with(plan: WaveformAugmentation, names: Sequence[str]) -> WaveformAugmentation | None:
    kept = {name for name in CHANGE_NAMES if _WAVEFORM + name in names}
    if not kept:
        return None
    by_label = {
        label: {name: own for name, own in changes.items() if name in kept}
        for label, changes in plan.by_label.items()
    }
    changes = {name: change.model_dump() for name, change in plan.in_order() if name in kept}
    return WaveformAugmentation.model_validate(
        {**changes, "variants": plan.variants, "by_label": by_label}
    )


def arms_of(plan: Augmentation, *, leave_one_out: bool) -> dict[str, list[str]]:
    """Return the changes of each arm by its name: none, each alone, perhaps all but each, and all.

    Raises:
        RecipeError: the plan makes no change.
    """
    changes = changes_of(plan)
    if not changes:
        raise RecipeError("the recipe has no augmentation to take apart; give it an [augmentation]")
    arms: dict[str, list[str]] = {NONE: []}
    if len(changes) > 1:  # else the one alone is all
        arms |= {f"only {name}": [name] for name in changes}
    if leave_one_out and len(changes) > 2:  # of two, all but one is the other alone
        arms |= {f"all but {name}": [c for c in changes if c != name] for name in changes}
    return {**arms, ALL: changes}
