"""`hark-train recipes`."""

from training import tables
from training.commands.output import console
from training.recipe import described_recipes


def recipes() -> None:
    """List the recipes that come with Hark."""
    console.print(tables.recipe_table(described_recipes()))
