"""RecipeError: what a recipe's reader, its architectures and its commands refuse with."""


class RecipeError(Exception):
    """A recipe does not exist or contradicts itself; the message says where."""
