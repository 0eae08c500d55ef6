"""Settings: what an operator may choose, from HARK_* environment variables.

Service knobs only. What a feature is stands in each model's manifest, and nowhere here.
"""

from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.inference.engine import EngineName
from app.inference.threads import available_processors

DEFAULT_MODEL_STORE: Final = Path(__file__).resolve().parents[1] / "model_store"


class Settings(BaseSettings):
    """The service's knobs. Each is an environment variable `HARK_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="HARK_", frozen=True, extra="ignore")

    model_store: Path = Field(
        DEFAULT_MODEL_STORE, description="Folder of models: <name>/<version>/."
    )
    default_model: str = Field("urbansound", description="The model behind /v1/classify.")
    engine: EngineName = Field("keras", description="What runs the models: keras or onnx.")
    workers: int = Field(
        default_factory=available_processors, ge=1, le=256, description="Compute processes."
    )
    queue_size: int = Field(
        64, ge=0, le=10_000, description="Requests that may wait for a compute process."
    )
    max_upload_bytes: int = Field(
        25_000_000, ge=1_000, le=1_000_000_000, description="Largest request body."
    )
    max_audio_seconds: float = Field(600.0, gt=0, description="Longest clip.")
    upload_seconds: float = Field(
        60.0, gt=0, description="How long a request's body may take to arrive."
    )
    deadline_seconds: float = Field(
        30.0, gt=0, description="From a request's last byte to its answer."
    )
    shutdown_seconds: float = Field(
        30.0, gt=0, description="How long requests in flight may take once asked to stop."
    )


class SettingsError(Exception):
    """A HARK_* variable has a value that it cannot have; the message names it."""


def read_settings(**chosen: Any) -> Settings:
    """Read the settings from the environment, but for those chosen otherwise (not None).

    Raises:
        SettingsError: a value is not valid.
    """
    try:
        return Settings(**{name: value for name, value in chosen.items() if value is not None})
    except ValidationError as error:
        lines = (f"HARK_{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError("; ".join(lines)) from error
