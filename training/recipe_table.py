"""RecipeTable: what every table of a recipe shares."""

from pydantic import BaseModel, ConfigDict


class RecipeTable(BaseModel):
    """Cannot be changed once read, and refuses fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
