"""Definitions become metrics of prometheus_client, or families that are made when somebody asks."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from app.metrics.definitions import Definition


def counter(definition: Definition, registry: CollectorRegistry) -> Counter:
    """Register a counter."""
    return Counter(definition.name, definition.help, definition.labels, registry=registry)


def gauge(definition: Definition, registry: CollectorRegistry) -> Gauge:
    """Register a gauge."""
    return Gauge(definition.name, definition.help, definition.labels, registry=registry)


def histogram(definition: Definition, registry: CollectorRegistry) -> Histogram:
    """Register a histogram."""
    return Histogram(
        definition.name,
        definition.help,
        definition.labels,
        buckets=definition.buckets,
        registry=registry,
    )


def counter_family(definition: Definition) -> CounterMetricFamily:
    """Make a counter's samples for one scrape."""
    return CounterMetricFamily(definition.name, definition.help, labels=definition.labels)


def gauge_family(definition: Definition) -> GaugeMetricFamily:
    """Make a gauge's samples for one scrape."""
    return GaugeMetricFamily(definition.name, definition.help, labels=definition.labels)
