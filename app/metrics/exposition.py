"""Exposition: the metrics in the format that a scraper asks for."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder


def expose(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Write all metrics down.

    Args:
        registry: where they are.
        accept: the scraper's header; OpenMetrics, which has exemplars, only where it is asked for.

    Returns:
        The text, and its media type.
    """
    encode, media_type = choose_encoder(accept)
    return encode(registry), media_type
