"""Changes of the waveform, as tables of a recipe: how probable each is, and its range.

The variants that they make are precomputed, since stretching and shifting take longer than a
network does for the same clip: each epoch then draws one variant of each clip, or the original.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator

from training.recipe_error import RecipeError
from training.recipe_table import RecipeTable


def _in_order(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError(f"a range goes from the lower to the higher number, not {list(values)}")
    return values


def _within(lowest: float, highest: float) -> Any:
    """Return the type of a range `[from, to]` whose ends lie between two numbers."""
    number = Annotated[float, Field(ge=lowest, le=highest)]
    return Annotated[tuple[number, number], AfterValidator(_in_order)]


class Change(RecipeTable):
    """One change of the waveform, made to a variant with a probability."""

    probability: float = Field(0.5, gt=0, le=1)


class TimeStretch(Change):
    """Faster (rates above 1) or slower at the same pitch; `rates` are drawn evenly by factor."""

    rates: _within(0.25, 4.0) = (0.8, 1.25)  # type: ignore[valid-type]


class PitchShift(Change):
    """Higher or lower at the same speed, by semitones."""

    semitones: _within(-24.0, 24.0) = (-2.0, 2.0)  # type: ignore[valid-type]


class TimeShift(Change):
    """Later or earlier by a share of the clip; what leaves at one end comes in at the other."""

    shares: _within(-1.0, 1.0) = (-0.5, 0.5)  # type: ignore[valid-type]


class Room(Change):
    """The reverberation of a room.

    `reverberation_seconds` is how long it takes to fall by 60 dB; `direct_to_reverberant_decibels`
    by how much the direct sound is above all of it.
    """

    reverberation_seconds: _within(0.01, 10.0) = (0.1, 0.6)  # type: ignore[valid-type]
    direct_to_reverberant_decibels: _within(-30.0, 60.0) = (0.0, 12.0)  # type: ignore[valid-type]


class Background(Change):
    """Another recording behind the clip.

    From the audio files in `folder`; without one, from clips of other labels in the same part of
    the data, so that no training clip holds anything of a test clip.
    """

    snr_decibels: _within(-30.0, 100.0) = (10.0, 25.0)  # type: ignore[valid-type]
    folder: Path | None = None


class Noise(Change):
    """Noise at a signal-to-noise ratio, whose power falls with frequency to an exponent.

    Exponents of 0, 1 and 2 are white, pink and brown noise; below 0, it rises.
    """

    snr_decibels: _within(-30.0, 100.0) = (15.0, 40.0)  # type: ignore[valid-type]
    exponents: _within(-2.0, 2.0) = (0.0, 0.0)  # type: ignore[valid-type]


class Compression(Change):
    """Dynamic range compression, as broadcasters and telephones do it.

    The clip's power stays. What is above a threshold, in decibels relative to the clip's loudest
    moment, rises by one decibel only where it would rise by `ratios`.
    """

    threshold_decibels: _within(-80.0, 0.0) = (-40.0, -10.0)  # type: ignore[valid-type]
    ratios: _within(1.0, 100.0) = (2.0, 8.0)  # type: ignore[valid-type]


class Gain(Change):
    """Louder or softer."""

    decibels: _within(-200.0, 60.0) = (-6.0, 6.0)  # type: ignore[valid-type]


class Changes(RecipeTable):
    """The changes of one clip's waveform, in the order in which they are made."""

    time_stretch: TimeStretch | None = None
    pitch_shift: PitchShift | None = None
    time_shift: TimeShift | None = None
    room: Room | None = None
    background: Background | None = None
    noise: Noise | None = None
    compression: Compression | None = None
    gain: Gain | None = None

    def in_order(self) -> list[tuple[str, Change]]:
        """Return those that are to be made, by name."""
        named = ((name, getattr(self, name)) for name in CHANGE_NAMES)
        return [(name, change) for name, change in named if change is not None]


CHANGE_NAMES: Final = tuple(Changes.model_fields)


class WaveformAugmentation(Changes):
    """`variants` changed copies of each clip, all made alike except where its label says otherwise.

    `by_label` has a table for each label that is to be treated otherwise: a change's own fields,
    of which those that are not named are as for all labels, or false for none of it. Source of
    what labels need: Salamon and Bello, "Deep Convolutional Neural Networks and Data Augmentation
    for Environmental Sound Classification", IEEE Signal Processing Letters 24 (3), 2017.
    """

    variants: int = Field(4, ge=1, le=100)
    by_label: dict[str, dict[str, dict[str, Any] | Literal[False]]] = Field(default_factory=dict)

    @field_validator("by_label")
    @classmethod
    def _name_changes(
        cls, by_label: dict[str, dict[str, dict[str, Any] | Literal[False]]]
    ) -> dict[str, dict[str, dict[str, Any] | Literal[False]]]:
        for label, changes in by_label.items():
            if unknown := set(changes) - set(CHANGE_NAMES):
                raise ValueError(
                    f"{label}: there is no change {', '.join(sorted(unknown))}; there is: "
                    f"{', '.join(CHANGE_NAMES)}"
                )
        return by_label

    @model_validator(mode="after")
    def _check_every_label(self) -> Self:
        for label in self.by_label:
            try:
                self.for_label(label)
            except ValidationError as error:
                lines = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
                raise ValueError(f"by_label.{label}: " + "; ".join(lines)) from error
        return self

    def for_label(self, label: str) -> Changes:
        """Return the changes of a label's clips."""
        values: dict[str, Any] = {name: change.model_dump() for name, change in self.in_order()}
        for name, own in self.by_label.get(label, {}).items():
            values[name] = None if own is False else {**(values.get(name) or {}), **own}
        return Changes.model_validate(values)

    def check_labels(self, labels: Iterable[str]) -> None:
        """Refuse settings for labels that the data does not have.

        Raises:
            RecipeError: there is one.
        """
        known = sorted(labels)
        if unknown := sorted(set(self.by_label) - set(known)):
            raise RecipeError(
                f"augmentation.waveform.by_label names {', '.join(unknown)}, which no clip is "
                f"labelled; the labels are: {', '.join(known)}"
            )
