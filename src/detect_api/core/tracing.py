"""Traces, where they are wanted: from a request to the last segment of its job.

OpenTelemetry is an optional part (``pip install detect-api[otel]``). Until ``configure`` has been
called with an endpoint, spans cost a comparison and nothing is imported.

A trace goes from the request to the workers as a W3C ``traceparent``, kept with the job.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from detect_api.core.config import Settings
from detect_api.core.errors import Unavailable

Rename = Callable[[str], None]

_tracer: Any = None
"""The one piece of module state, as in OpenTelemetry itself: a process has one tracer."""


def configure(settings: Settings, service: str) -> Callable[[], None]:
    """Starts sending spans as OTEL_EXPORTER_OTLP_ENDPOINT says; returns what sends the rest.

    Does nothing without an endpoint. Raises Unavailable when the optional part is not installed.
    """
    global _tracer  # noqa: PLW0603
    if not settings.otel_exporter_otlp_endpoint:
        return lambda: None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise Unavailable(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: "
            "pip install 'detect-api[otel]', or unset it.",
            code="tracing_not_installed",
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": f"detect-api-{service}"}))
    endpoint = settings.otel_exporter_otlp_endpoint.rstrip("/") + "/v1/traces"
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=10)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("detect-api")

    def end() -> None:
        global _tracer  # noqa: PLW0603
        _tracer = None
        provider.shutdown()

    return end


def wanted() -> bool:
    """Whether spans are sent."""
    return _tracer is not None


def keep_name(_name: str) -> None:
    """What renames a span where there is none."""


@contextmanager
def span(name: str, traceparent: str | None = None, **attributes: str | int) -> Iterator[Rename]:
    """A span around the block, under the current one or the one that ``traceparent`` names.

    The block is given what changes the span's name. An exception that leaves it marks the span as
    failed, by the exception's type: its text may hold what nobody outside should read.
    """
    if _tracer is None:
        yield keep_name
        return
    from opentelemetry.trace import StatusCode
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": traceparent} if traceparent else {}
    context = TraceContextTextMapPropagator().extract(carrier) if carrier else None
    with _tracer.start_as_current_span(
        name,
        context=context,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as current:
        try:
            yield current.update_name
        except BaseException as error:
            current.set_status(StatusCode.ERROR, type(error).__name__)
            raise


def traceparent() -> str | None:
    """The current span as a W3C ``traceparent``; None outside of any."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")
