"""Recipe: everything that decides a model, read from a TOML file and validated before any work."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.audio.feature_specs import feature_spec
from app.audio.spec import FrontEndSpec
from app.inference.store import ModelStore
from app.settings import DEFAULT_MODEL_STORE
from training.augmentation.plan import Augmentation
from training.recipe_error import RecipeError
from training.recipe_table import RecipeTable
from training.versions import find_version

RECIPES_FOLDER: Final = Path(__file__).parent / "recipes"


class ModelOptions(RecipeTable):
    """Which architecture, and its own options (each architecture validates its own).

    `members` are the options in which each network of an ensemble differs, a table for each.
    """

    architecture: str
    options: dict[str, Any] = Field(default_factory=dict)
    members: tuple[dict[str, Any], ...] = ()

    def of_network(self, place_in_row: int) -> "ModelOptions":
        """Return the options of one network of an ensemble's, counted from 0."""
        changes = self.members[place_in_row] if self.members else {}
        return self.model_copy(update={"options": {**self.options, **changes}, "members": ()})


class Training(RecipeTable):
    """How a model is fitted.

    `weight_decay` is the decoupled one, of any optimizer. With `average_weights`, what is kept is
    the running mean of the weights after each step, of which that share stays (0 is none of it).
    The learning rate rises over `warmup_epochs` from a twentieth, then falls along a half cosine to
    zero at the end of `epochs`, or stays (`constant`). On a validation set, fitting stops
    `patience` epochs after the lowest loss, though never before `min_epochs`; where that is all
    `epochs`, none is counted.
    With `mixed_precision`, layers compute in float16 while the model is fitted; what is kept is in
    float32. Of several `networks`, each with a seed of its own, the model is the mean.
    """

    epochs: int = Field(ge=1)
    min_epochs: int = Field(1, ge=1)
    patience: int = Field(ge=1)
    warmup_epochs: int = Field(0, ge=0)
    batch_size: int = Field(64, ge=1)
    optimizer: Literal["adam", "nadam", "rmsprop", "sgd"] = "adam"
    learning_rate: float = Field(gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    weight_decay: float = Field(0.0, ge=0)
    average_weights: float = Field(0.0, ge=0, lt=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    mixed_precision: bool = False
    networks: int = Field(1, ge=1, le=10)
    seed: int = Field(0, ge=0, lt=2**32 - 10)  # NumPy's are below 2**32, a network's up to 9 more

    @property
    def counts_epochs(self) -> bool:
        """Whether a validation part decides for how long to fit."""
        return self.min_epochs < self.epochs

    @model_validator(mode="after")
    def _check_epochs(self) -> Self:
        if self.min_epochs > self.epochs:
            raise ValueError("min_epochs must not exceed epochs")
        return self


class Described(BaseModel):
    """What a recipe says of itself: what it is, where it comes from, and the published figure.

    `choices` is a sentence on what its values were chosen by: figures on the same clips flatter it.
    """

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    summary: str
    source: str
    published: str
    choices: str = ""


class Recipe(Described):
    """A published system, or our own, reproducible by name.

    `starting_point` is the version of a store, `name` or `name@version`, whose front end and
    weights the recipe goes on from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    starting_point: str | None = None
    front_end: FrontEndSpec
    model: ModelOptions
    training: Training
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _check_augmentation(self) -> Self:
        self.augmentation.check_features(self.front_end.features)
        return self

    @model_validator(mode="after")
    def _check_members(self) -> Self:
        if self.model.members and len(self.model.members) != self.training.networks:
            raise ValueError("model.members needs one table for each of training.networks")
        return self

    @model_validator(mode="after")
    def _check_beginning(self) -> Self:
        """Let weights come only from where it is known what they have learned."""
        if self.model.architecture == "fine-tune":
            if self.starting_point is None:
                raise ValueError("fine-tune needs a version of a store: name a starting_point")
            if any("model" in member for member in self.model.members):
                raise ValueError("model.members begin with the starting_point, and name no model")
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


def load_recipe(
    name_or_path: str, changes: Sequence[str] = (), store: Path = DEFAULT_MODEL_STORE
) -> Recipe:
    """Read a recipe by the name of one that comes with Hark, or by the path of a TOML file.

    Args:
        name_or_path: which recipe.
        changes: fields to set, as `training.epochs=30`: a dotted name, and a value as in TOML.
        store: where a starting point is looked for.

    Raises:
        RecipeError: there is none, or it does not validate.
        ModelError: its starting point is not in the store, or is refused.
    """
    path = _path_of(name_or_path)
    try:
        tables = read_tables(name_or_path, changes)
        if isinstance(tables.get("starting_point"), str):
            _start_from(tables["starting_point"], ModelStore(store), tables)
        return Recipe.model_validate(tables)
    except TypeError as error:
        raise RecipeError(f"{path}: {error}") from error
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RecipeError(f"{path}: " + "; ".join(lines)) from error


def read_tables(name_or_path: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Read a recipe's tables as they are written, with some fields set, and validate nothing.

    Raises:
        RecipeError: there is no such recipe, it is no TOML, or a change sets no field.
    """
    path = _path_of(name_or_path)
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: {error}") from error
    for change in changes:
        _apply(change, tables)
    return tables


def _path_of(name_or_path: str) -> Path:
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return path
    if name_or_path not in recipe_names():
        raise RecipeError(
            f"there is no recipe {name_or_path!r}; there is: {', '.join(recipe_names())}, or "
            "give the path of a .toml file"
        )
    return RECIPES_FOLDER / f"{name_or_path}.toml"


def _apply(change: str, tables: dict[str, Any]) -> None:
    """Set one field of a recipe's tables."""
    name, equals, text = change.partition("=")
    *path, last = name.strip().split(".")
    if not equals or not last:
        raise RecipeError(f"{change!r} sets no field; write it as training.epochs=30")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a word that TOML would have in quotes
    table = tables
    for key in path:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise RecipeError(f"{change!r}: {key} is no table of the recipe")
    table[last] = value


def _start_from(model: str, store: ModelStore, tables: dict[str, Any]) -> None:
    """Fill in what a recipe takes from its starting point: the front end, and where its file is."""
    if "front_end" in tables:
        raise RecipeError(
            f"the front end is that of the starting point {model}: leave out front_end, or "
            "starting_point"
        )
    options = tables.setdefault("model", {}).setdefault("options", {})
    if "model" in options:
        raise RecipeError(
            f"model.options.model is the file of the starting point {model}: leave it out"
        )
    artifact = store.open(find_version(store, model))
    tables["front_end"] = artifact.manifest.front_end_spec
    options["model"] = str(artifact.keras_path)


def described_recipes() -> list[Described]:
    """Return what the recipes that come with Hark say of themselves, whatever the store holds."""
    texts = ((RECIPES_FOLDER / f"{name}.toml").read_text("utf-8") for name in recipe_names())
    return [Described.model_validate(tomllib.loads(text)) for text in texts]


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with Hark."""
    return sorted(path.stem for path in RECIPES_FOLDER.glob("*.toml"))
