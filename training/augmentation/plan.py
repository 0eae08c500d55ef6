"""Augmentation: which changes a recipe makes to what it is fitted on; tables of the recipe."""

from typing import Final, Self

from pydantic import Field, model_validator

from app.audio.feature_specs import FeatureSpec
from training.augmentation.waveform_plan import WaveformAugmentation
from training.recipe_table import RecipeTable

# Which kinds of features each change makes sense of. All that is not here suits any features.
_PICTURES: Final = ("mfcc", "log_mel", "spectrogram", "scalogram")  # have frames along their width
_MEL: Final = ("mfcc", "log_mel")  # in decibels, so that a gain is a sum
KINDS_OF_CHANGE: Final = {
    "time_shift": _PICTURES,
    "time_warp_share": _PICTURES,
    "time_masks": _PICTURES,
    "gain_decibels": _MEL,
    "equalizer_decibels": _MEL,
    "narrowband_share": _MEL,
    "frequency_shift_bands": ("mfcc", "log_mel", "scalogram"),  # bands even in pitch, or nearly
    "frequency_masks": _PICTURES,
}
# A change of so many, and the field that says of what share; neither does anything alone.
_MASKS: Final = (("time_masks", "time_mask_share"), ("frequency_masks", "frequency_mask_share"))
# These change single bands, which MFCCs give back only where there are as many as bands.
_CHANGES_OF_BANDS: Final = ("narrowband_share", "frequency_shift_bands", "frequency_masks")


class Augmentation(RecipeTable):
    """Changes made to training examples; see `training.augmentation`.

    Those of features are drawn for each batch, in the order in which they stand here; those of
    the waveform are computed before. A probability, share, number or size of 0 leaves a change out.
    """

    time_shift: bool = False
    gain_decibels: float = Field(0.0, ge=0)
    equalizer_decibels: float = Field(0.0, ge=0)
    narrowband_share: float = Field(0.0, ge=0, le=1)
    frequency_shift_bands: int = Field(0, ge=0)
    time_warp_share: float = Field(0.0, ge=0, lt=0.5)
    time_masks: int = Field(0, ge=0)
    time_mask_share: float = Field(0.0, ge=0, le=1)
    frequency_masks: int = Field(0, ge=0)
    frequency_mask_share: float = Field(0.0, ge=0, le=1)
    mixup_alpha: float = Field(0.0, ge=0)
    waveform: WaveformAugmentation | None = None

    @model_validator(mode="after")
    def _check_masks(self) -> Self:
        """Refuse one of two fields without the other; either may be 0 where that is said."""
        for pair in _MASKS:
            for given, other in (pair, pair[::-1]):
                if getattr(self, given) and other not in self.model_fields_set:
                    raise ValueError(f"{given} does nothing without {other}: set both, or neither")
        return self

    def check_features(self, features: FeatureSpec) -> None:
        """Refuse changes that make no sense of features.

        Raises:
            ValueError: one is asked for of features of another kind than it is for.
        """
        complete = getattr(features, "n_mfcc", 0) == getattr(features, "n_mels", 0)
        for name, kinds in KINDS_OF_CHANGE.items():
            if not getattr(self, name):
                continue
            if features.kind not in kinds:
                raise ValueError(
                    f"augmentation.{name} is for features of kind {', '.join(kinds)}, not "
                    f"{features.kind}: leave it out, or change the waveform instead"
                )
            if features.kind == "mfcc" and name in _CHANGES_OF_BANDS and not complete:
                raise ValueError(f"augmentation.{name} needs as many n_mfcc as n_mels")
