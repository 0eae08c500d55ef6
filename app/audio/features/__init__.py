"""Windows to features: one module a kind, chosen by the spec."""

from app.audio.feature_specs import (
    FeatureSpec,
    LogMelSpec,
    MfccSpec,
    MfccStatisticsSpec,
    SpectrogramSpec,
    StackSpec,
)
from app.audio.features import mel, scalogram, spectrogram
from app.audio.features.extractor import FeatureExtractor
from app.audio.features.log_mel import LogMelExtractor
from app.audio.features.mfcc import MfccExtractor
from app.audio.features.mfcc_statistics import MfccStatisticsExtractor
from app.audio.features.stack import StackExtractor, of_place, with_place
from app.audio.features.tables import Tables
from app.audio.spec import FrontEndSpec

__all__ = ["FeatureExtractor", "Tables", "make_extractor", "make_tables"]


def make_tables(spec: FrontEndSpec) -> Tables:
    """Compute the constant arrays that the spec's features need, with the libraries' functions."""
    return _tables(spec.features, spec.sample_rate_hz)


def make_extractor(spec: FrontEndSpec, tables: Tables) -> FeatureExtractor:
    """Return the extractor of the spec's kind of features.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """
    return _extractor(spec.features, tables, spec.window_samples)


def _tables(features: FeatureSpec, sample_rate_hz: int) -> Tables:
    match features:
        case StackSpec(parts=parts):
            by_part = (
                with_place(_tables(part, sample_rate_hz), place) for place, part in enumerate(parts)
            )
            return {name: values for tables in by_part for name, values in tables.items()}
        case SpectrogramSpec():
            return spectrogram.make_tables(features)
        case MfccSpec() | MfccStatisticsSpec() | LogMelSpec():
            return mel.make_tables(features, sample_rate_hz)
        case _:
            return scalogram.make_tables(features, sample_rate_hz)


def _extractor(features: FeatureSpec, tables: Tables, window_samples: int) -> FeatureExtractor:
    match features:
        case StackSpec(parts=parts):
            return StackExtractor(
                [
                    _extractor(part, of_place(tables, place), window_samples)
                    for place, part in enumerate(parts)
                ]
            )
        case MfccSpec():
            return MfccExtractor(features, tables, window_samples)
        case MfccStatisticsSpec():
            return MfccStatisticsExtractor(features, tables, window_samples)
        case LogMelSpec():
            return LogMelExtractor(features, tables, window_samples)
        case SpectrogramSpec():
            return spectrogram.SpectrogramExtractor(features, tables, window_samples)
        case _:
            return scalogram.ScalogramExtractor(features, tables, window_samples)
