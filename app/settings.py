"""Settings: what an operator may choose, from HARK_* environment variables.

Service knobs only. What a feature is stands in each model's manifest, and nowhere here.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.audio.limits import DecodeLimits
from app.inference.engine import EngineName
from app.inference.threads import available_processors

DEFAULT_MODEL_STORE: Final = Path(__file__).resolve().parents[1] / "model_store"


Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


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
    max_header_bytes: int = Field(
        16_384,
        ge=1_024,
        le=1_000_000,
        description="Largest headers of a request, its line included.",
    )
    max_parts: int = Field(16, ge=1, le=10_000, description="Most parts of a multipart body.")
    max_part_header_bytes: int = Field(
        4_096, ge=256, le=1_000_000, description="Largest headers of a part."
    )
    max_connections: int = Field(
        2_000, ge=1, le=1_000_000, description="Most connections at a time."
    )
    max_streams: int = Field(
        64, ge=0, le=100_000, description="Most live streams at a time; with 0 there are none."
    )
    max_message_bytes: int = Field(
        1_000_000, ge=1_000, le=100_000_000, description="Largest message of a live stream."
    )
    max_stream_bytes: int = Field(
        4_000_000, ge=1_000, le=1_000_000_000, description="Largest window of a live stream."
    )
    max_audio_seconds: Seconds = Field(DecodeLimits.max_seconds, description="Longest clip.")
    min_sample_rate_hz: int = Field(
        DecodeLimits.min_sample_rate_hz, ge=1, description="Lowest sample rate of a clip."
    )
    max_sample_rate_hz: int = Field(
        DecodeLimits.max_sample_rate_hz, ge=1, description="Highest sample rate of a clip."
    )
    max_channels: int = Field(
        DecodeLimits.max_channels, ge=1, le=1_024, description="Most channels of a clip."
    )
    max_samples: int = Field(
        DecodeLimits.max_samples, ge=1, description="Most samples of a clip, over all channels."
    )
    header_seconds: Seconds = Field(
        10.0, description="How long a request's headers may take to arrive."
    )
    upload_seconds: Seconds = Field(
        20.0, description="How long a request's body may take to arrive."
    )
    deadline_seconds: Seconds = Field(30.0, description="From a request's headers to its answer.")
    stream_idle_seconds: Seconds = Field(
        30.0, description="How long a live stream may bring no audio before it is closed."
    )
    shutdown_seconds: Seconds = Field(
        30.0, description="How long requests in flight may take once asked to stop."
    )
    drain_seconds: float = Field(
        1.0,
        ge=0,
        allow_inf_nan=False,
        description="How long requests are still taken after SIGTERM, while /readyz says no.",
    )
    worker_memory_bytes: int = Field(
        1_000_000_000,
        ge=200_000_000,
        description="Address space that a compute process may take beyond what its models need.",
    )
    watch_models: bool = Field(
        False, description="Whether new versions in the store are served without being asked to."
    )
    api_keys_file: Path | None = Field(
        None, description="The API keys' hashes and scopes; without it, classifying needs no key."
    )
    rate_limit: str | None = Field(
        None, description="How often a client may ask, as in 60/minute; unlimited by default."
    )
    trusted_proxies: str | None = Field(
        None, description="Addresses of proxies whose X-Forwarded-For is believed, or *."
    )
    cors_origins: str = Field(
        "", description="Origins whose pages may ask, separated by commas; none by default."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="How log lines are written; auto: as text on a terminal, else as JSON."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe lines that are written."
    )
    drift_clips: int = Field(
        1_000,
        ge=10,
        le=1_000_000,
        description="How many of a model version's last answers are compared with its validation.",
    )
    tracing: bool = Field(
        False,
        description="Whether OpenTelemetry spans are exported; OTEL_* variables say where to.",
    )

    @property
    def allowed_origins(self) -> list[str]:
        """Origins whose pages may ask."""
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def decode_limits(self) -> DecodeLimits:
        """What a clip may be."""
        return DecodeLimits(
            max_seconds=self.max_audio_seconds,
            min_sample_rate_hz=self.min_sample_rate_hz,
            max_sample_rate_hz=self.max_sample_rate_hz,
            max_channels=self.max_channels,
            max_samples=self.max_samples,
        )

    @field_validator("rate_limit")
    @classmethod
    def _check_rate_limit(cls, rate_limit: str | None) -> str | None:
        if rate_limit is not None:
            from limits import parse  # a tenth of a second, for those who want it

            parse(rate_limit)  # raises ValueError
        return rate_limit

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.min_sample_rate_hz > self.max_sample_rate_hz:
            raise ValueError("HARK_MIN_SAMPLE_RATE_HZ is above HARK_MAX_SAMPLE_RATE_HZ")
        if self.upload_seconds >= self.deadline_seconds:
            raise ValueError(
                "HARK_UPLOAD_SECONDS leaves nothing of HARK_DEADLINE_SECONDS for the computation"
            )
        return self


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
        lines = (
            f"{''.join(f'HARK_{str(place).upper()}: ' for place in e['loc'][:1])}{e['msg']}"
            for e in error.errors()
        )
        raise SettingsError("; ".join(lines)) from error
