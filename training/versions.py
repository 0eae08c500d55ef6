"""Versions of a store, as people name them on the command line."""

from app.inference.store import ModelReference, ModelStore
from training.recipe_error import RecipeError


def find_version(store: ModelStore, model: str) -> ModelReference:
    """Return the version that `name` (the highest) or `name@version` means.

    Raises:
        RecipeError: what follows the @ is no number.
        ModelError: there is no such version.
    """
    name, _, version = model.partition("@")
    if version and not version.isdecimal():
        raise RecipeError(f"{model!r}: a version is a number, as in urbansound@1")
    return store.resolve(name, int(version) if version else None)
