"""OpenTelemetry: a span for each request, and one in it for each stage. Needs `hark[otel]`.

Where spans go, how many, and under what name is said by OpenTelemetry's own variables, such as
OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_SERVICE_NAME.
"""

import time
from importlib.util import find_spec

from fastapi import FastAPI
from starlette.types import Scope

from app.api.request_context import PROBES, RequestObserver, RequestRecord
from app.settings import SettingsError


class Tracing(RequestObserver):
    """Exports spans of an application's requests.

    Raises:
        SettingsError: the extra is not installed.
    """

    def __init__(self) -> None:
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.exporter") is None:
            raise SettingsError("HARK_TRACING needs OpenTelemetry: install hark[otel].")
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource({SERVICE_NAME: "hark"}).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("hark")

    def surround(self, app: FastAPI) -> None:
        """Have every request of an application have a span; a sent traceparent is its parent."""
        from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

        app.add_middleware(
            OpenTelemetryMiddleware,
            tracer_provider=self._provider,
            excluded_urls=rf"^https?://[^/]*({'|'.join(sorted(PROBES))})$",
            exclude_spans=["receive", "send"],
        )

    def traceparent_of(self, _scope: Scope) -> str | None:
        """Return the place in its trace of the request that is being served."""
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier.get("traceparent")

    def note_answer(self, route: str, method: str, record: RequestRecord) -> None:
        """Name a request's span, and add its stages to it, one after the other."""
        from opentelemetry.trace import get_current_span

        span = get_current_span()
        span.update_name(f"{method} {route}")
        span.set_attribute("hark.request_id", record.request_id)
        if record.model is not None:
            span.set_attribute("hark.model", str(record.model))
        if record.code is not None:
            span.set_attribute("hark.code", record.code)
        start = time.time_ns() - round((time.monotonic() - record.received_at) * 1e9)
        for stage, seconds in record.stage_seconds.items():
            end = start + round(seconds * 1e9)
            self._tracer.start_span(stage, start_time=start).end(end)
            start = end

    def stop(self) -> None:
        """Export what is left."""
        self._provider.shutdown()
