"""The model card: what a model is, how well it does, and where it must not be used.

Layout after Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

from pathlib import Path
from typing import Any, Final

from app.audio.feature_specs import (
    STATISTICS,
    FeatureSpec,
    LogMelSpec,
    MfccSpec,
    MfccStatisticsSpec,
    ScalogramSpec,
    SpectrogramSpec,
    StackSpec,
)
from app.inference.artifact import TrainingRecord
from app.inference.store import ModelReference
from training.calibration import N_BINS, Marks
from training.recipe import Recipe
from training.results import CrossValidation

LOSS_FILE: Final = "loss.png"
CONFUSION_FILE: Final = "confusion_matrix.png"
RELIABILITY_FILE: Final = "reliability.png"


def model_card(
    reference: ModelReference, recipe: Recipe, training: TrainingRecord, result: CrossValidation
) -> str:
    """Compose the card of a version."""
    front_end = recipe.front_end
    rounds = _table(
        ("tested on", "clips", "epochs", "accuracy", "macro F1"),
        [
            (
                f"fold {part.test}",
                part.metrics.clips,
                part.epochs,
                f"{part.metrics.accuracy:.1%}",
                f"{part.metrics.macro_f1:.3f}",
            )
            for part in result.rounds
        ],
    )
    by_label = _table(
        ("label", "clips", "precision", "recall", "F1"),
        [
            (label, m.clips, f"{m.precision:.2f}", f"{m.recall:.2f}", f"{m.f1:.2f}")
            for label, m in result.together.by_label.items()
        ],
    )
    return f"""# {reference.name}, version {reference.version}

{recipe.summary}. One label out of {len(result.labels)} for a clip:
{", ".join(f"`{label}`" for label in result.labels)}.

## How well it does

Accuracy **{result.accuracy_mean:.1%}** ± {result.accuracy_deviation:.1%} (mean and standard
deviation over {len(result.rounds)} folds), macro F1 {result.macro_f1_mean:.3f}.

{_warning_in_words(result)}\
Protocol: {result.protocol}. The figures are those of the models of the cross-validation; the model
in this folder was then fitted on all clips, for the median of their epochs ({result.epochs}), and
no clip is left to test it on.
{_choices_in_words(recipe)}
{rounds}

All test clips together:

{by_label}

{_salience_in_words(result)}![Confusion matrix]({CONFUSION_FILE})
![Loss by epoch]({LOSS_FILE})

## How far its probabilities can be believed

{_calibration_in_words(result)}

## What it was trained on

{training.dataset}, {_folds_in_words(training.folds)}, {training.clips} clips. Licence of the data:
**{training.licence}**. Whether a model may be used beyond what its data's licence allows is for
its user to settle{_licence_warning(training.licence)}.{_earlier_in_words(training)}

## What it hears

{front_end.sample_rate_hz} Hz mono, windows of {front_end.window_seconds:g} s (shorter audio is
filled up by the rule `{front_end.padding}`), {features_in_words(front_end.features)}.
Recipe `{recipe.name}`: {recipe.source}.{_beginning_in_words(recipe)}\
{_networks_in_words(recipe)}
Published figure: {recipe.published}.

## What it is not for

- It always names one of its labels. What is none of them, be it another sound or a room's hum,
  becomes whichever lies nearest: read the probabilities, and expect no "none of these".
- Its probabilities are calibrated for clips like those that it was tested on. For other
  sounds, and where some labels are more frequent than here, they promise too much or too little.
- It learned one label a clip. How it does where several sounds come at once, from far microphones
  or after heavy compression, was not measured.
- It must not decide alone where an error harms someone: it is no alarm.

## How to make it again

```sh
{training.command}
```

Seed {training.seed}; the library versions are in `manifest.json`.
"""


def features_in_words(features: FeatureSpec) -> str:
    """Say in a few words what features are."""
    match features:
        case MfccSpec(n_mfcc=n_mfcc, n_mels=n_mels):
            return f"{n_mfcc} MFCCs from {n_mels} mel bands"
        case MfccStatisticsSpec(n_mfcc=n_mfcc, n_mels=n_mels):
            return f"{len(STATISTICS)} statistics of {n_mfcc} MFCCs from {n_mels} mel bands"
        case LogMelSpec(n_mels=n_mels, deltas=deltas):
            return f"{n_mels} mel bands in decibels" + (", with deltas" if deltas else "")
        case SpectrogramSpec(height=height, width=width):
            return f"pictures of spectrograms, {height} by {width}"
        case ScalogramSpec(n_scales=n_scales):
            return f"a wavelet transform of {n_scales} scales"
        case StackSpec(parts=parts):
            return " and ".join(features_in_words(part) for part in parts)


def _warning_in_words(result: CrossValidation) -> str:
    return f"> **Warning.** {result.warning}\n\n" if result.warning else ""


def _choices_in_words(recipe: Recipe) -> str:
    return f"\nHow the recipe was chosen: {recipe.choices}\n" if recipe.choices else ""


def _beginning_in_words(recipe: Recipe) -> str:
    """Say what the weights began as, of a recipe that may go on from others'."""
    if recipe.starting_point is not None:
        return (
            f"\nIts weights began as those of `{recipe.starting_point}`, but for the last layer's."
        )
    if recipe.model.architecture != "mobilenet":
        return ""
    weights = recipe.model.options.get("weights")
    if weights is None:
        return "\nNo pre-trained weights: they began with chance."
    return f"\nIts weights began as those in the file `{Path(weights).name}`."


def _networks_in_words(recipe: Recipe) -> str:
    n_networks = recipe.training.networks
    if n_networks == 1:
        return ""
    return f"\n{n_networks} networks, fitted from seeds of their own, whose logits are averaged."


def _salience_in_words(result: CrossValidation) -> str:
    if not result.together.by_salience:
        return ""
    rows: list[tuple[Any, ...]] = [
        (salience, part.clips, f"{part.accuracy:.1%}")
        for salience, part in result.together.by_salience.items()
    ]
    return f"By where the sound is:\n\n{_table(('salience', 'clips', 'accuracy'), rows)}\n\n"


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _folds_in_words(folds: list[str]) -> str:
    return f"official folds {', '.join(folds)}" if folds else "which has no official folds"


def _licence_warning(licence: str) -> str:
    return "; NC stands for non-commercial" if "NC" in licence else ""


def _earlier_in_words(training: TrainingRecord) -> str:
    """Say what the weights had learned before, whose licence holds as well."""
    sentences: list[str] = []
    for each in training.earlier:
        which = "Those in turn" if sentences else "Its weights"
        licence = f"**{each.licence}**{_licence_warning(each.licence)}"
        sentences.append(
            f"\n\n{which} began as those of `{each.model}`, which had learned {each.dataset} "
            f"(licence:\n{licence})."
        )
    return "".join(sentences)


def _calibration_in_words(result: CrossValidation) -> str:
    temperature = result.calibration.temperature
    by_round = ", ".join(
        f"{part.calibration.temperature:.2f} and {part.calibration.uncertain_below:.2f}"
        for part in result.rounds
    )
    return f"""Each window's probabilities are tempered before a clip's windows are averaged (Guo
et al., "On Calibration of Modern Neural Networks", ICML 2017). The temperature is
**{temperature:.3f}**: {_temperature_in_words(temperature)}.
Expected calibration error over the test clips ({N_BINS} bins of the top probability):
**{result.ece_before:.3f}** before, **{result.ece_after:.3f}** after.

{_reliability_diagram(result)}\
{_threshold_in_words(result.calibration.uncertain_below, result.marks)}

Temperature and threshold were fitted on the answers of each round's model to its own test part,
which it had not heard. The model in this folder was fitted on more, and may be surer or less sure
of itself than those were. In the figures above, each test part was answered with the temperature
and the threshold of the other rounds ({by_round}), and took no part in choosing them."""


def _reliability_diagram(result: CrossValidation) -> str:
    if result.reliability is None:
        return ""
    return f"![Reliability diagrams before and after calibration]({RELIABILITY_FILE})\n\n"


def _temperature_in_words(temperature: float) -> str:
    if temperature > 1:
        return "the network alone is too sure of itself"
    return "the network alone is less sure of itself than it could be"


def _threshold_in_words(threshold: float, marks: Marks) -> str:
    if threshold == 0:
        return """No answer is marked as uncertain for its probabilities: on the test parts,
answers were never more often wrong than right, however low their top probability."""
    return f"""An answer whose top probability is below **{threshold:.3f}** is marked as uncertain
(silence always is): it is more likely wrong than right. Of the test clips {marks.share:.1%} are
marked; of those {_share(marks.accuracy_marked)} are answered rightly, of the others
{_share(marks.accuracy_unmarked)}."""


def _share(share: float | None) -> str:
    return "(there are none)" if share is None else f"{share:.1%}"
