"""Recipe: everything that decides a model, read from a TOML file and validated before any work."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.audio.feature_specs import MfccSpec, feature_spec
from app.audio.spec import FrontEndSpec

RECIPES_FOLDER: Final = Path(__file__).parent / "recipes"


class RecipeError(Exception):
    """A recipe does not exist or contradicts itself; the message says where."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class ModelOptions(_Table):
    """Which architecture, and its own options (each architecture validates its own)."""

    architecture: str
    options: dict[str, Any] = {}


class Augmentation(_Table):
    """Changes made to training examples as they are drawn; see training.augment.

    A probability, share or size of 0 leaves a change out.
    """

    time_shift: bool = False
    time_mask_share: float = Field(0.0, ge=0, le=1)
    time_masks: int = Field(0, ge=0)
    gain_decibels: float = Field(0.0, ge=0)
    equalizer_decibels: float = Field(0.0, ge=0)
    narrowband_share: float = Field(0.0, ge=0, le=1)
    mixup_alpha: float = Field(0.0, ge=0)


class Training(_Table):
    """How a model is fitted, with the optimizer Adam.

    The learning rate rises over `warmup_epochs`, then falls along a half cosine to zero at the end
    of `epochs`. On a validation set, fitting stops `patience` epochs after the lowest loss, though
    never before `min_epochs`.
    """

    epochs: int = Field(ge=1)
    min_epochs: int = Field(1, ge=1)
    patience: int = Field(ge=1)
    warmup_epochs: int = Field(0, ge=0)
    batch_size: int = Field(64, ge=1)
    learning_rate: float = Field(gt=0)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    seed: int = 0

    @model_validator(mode="after")
    def _check_epochs(self) -> Self:
        if self.min_epochs > self.epochs:
            raise ValueError("min_epochs must not exceed epochs")
        return self


class Recipe(_Table):
    """A published system, or our own, reproducible by name."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    summary: str
    source: str
    published: str
    front_end: FrontEndSpec
    model: ModelOptions
    training: Training
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _check_invertible(self) -> Self:
        features = self.front_end.features
        if self.augmentation.narrowband_share and not (
            isinstance(features, MfccSpec) and features.n_mfcc == features.n_mels
        ):
            raise ValueError("narrowband_share needs as many n_mfcc as n_mels")
        return self

    @field_validator("front_end", mode="before")
    @classmethod
    def _read_front_end(cls, values: Any) -> FrontEndSpec:
        """Read a front end; what a recipe leaves out takes the spec's default."""
        if isinstance(values, FrontEndSpec):
            return values
        if not isinstance(values, dict) or not isinstance(values.get("features", {}), dict):
            # Not a TypeError, which Pydantic would not take for a finding of its own.
            raise ValueError("front_end and front_end.features must be tables")  # noqa: TRY004
        features = feature_spec({"kind": "mfcc", **values.get("features", {})}, complete=False)
        return FrontEndSpec(**{**values, "features": features})


def load_recipe(name_or_path: str) -> Recipe:
    """Read a recipe by the name of one that comes with Hark, or by the path of a TOML file.

    Raises:
        RecipeError: there is none, or it does not validate.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = RECIPES_FOLDER / f"{name_or_path}.toml"
        if name_or_path not in recipe_names():
            raise RecipeError(
                f"there is no recipe {name_or_path!r}; there is: {', '.join(recipe_names())}, or "
                "give the path of a .toml file"
            )
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, TypeError) as error:
        raise RecipeError(f"{path}: {error}") from error
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RecipeError(f"{path}: " + "; ".join(lines)) from error


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with Hark."""
    return sorted(path.stem for path in RECIPES_FOLDER.glob("*.toml"))
