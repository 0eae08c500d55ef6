"""How a run was made, as `run.json` holds it; reading it needs no TensorFlow."""

from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict

from app.inference.artifact import EarlierTraining

RUN_FILE: Final = "run.json"


class RunRecord(BaseModel):
    """How a run was made.

    Attributes:
        command: the command line.
        began: when.
        seconds: how long it took; of a run that was resumed, since then.
        recipe: the recipe's fields, with what `--set` changed.
        dataset: what the data calls itself.
        licence: of the data.
        clips: how many were read.
        library_versions: what it rests on, by name.
        model: the version that came out, as name@version; None where none did.
        earlier: what the weights had learned before, where they began as another version's.
    """

    model_config = ConfigDict(frozen=True)

    command: str
    began: datetime
    seconds: float
    recipe: dict[str, Any]
    dataset: str
    licence: str
    clips: int
    library_versions: dict[str, str]
    model: str | None = None
    earlier: list[EarlierTraining] = []
