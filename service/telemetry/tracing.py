"""OpenTelemetry spans, one per call; imported only where tracing is on, for it is an optional extra.

The caller's W3C trace context is continued. Nothing is propagated to Cohere. Attribute names follow
OpenTelemetry's semantic conventions for RPC.
"""

import contextlib
from collections.abc import Iterator

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from service.call import Call
from service.status import outcome_of


class Tracing:
    """Makes a server span around each call.

    Args:
        exporter: Where spans go; by default OTLP, as the OTEL_EXPORTER_OTLP_* variables say.
    """

    def __init__(self, exporter: SpanExporter | None = None) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": "cohort"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("cohort")

    @contextlib.contextmanager
    def span_of(self, call: Call) -> Iterator[None]:
        """Surrounds a call with its span."""
        carrier = {key: value for key, value in call.metadata if isinstance(value, str)}
        service, _, method = call.rpc[1:].partition("/")
        with self._tracer.start_as_current_span(
            call.rpc[1:],
            context=propagate.extract(carrier),
            kind=trace.SpanKind.SERVER,
            attributes={
                "rpc.system": "grpc",
                "rpc.service": service,
                "rpc.method": method,
                "cohort.call_id": call.call_id,
            },
            # Exceptions' texts stay out of spans.
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except BaseException as error:
                outcome = outcome_of(error)
                span.set_status(trace.StatusCode.ERROR, outcome.reason or outcome.code)
                span.set_attribute("rpc.response.status_code", outcome.code)
                raise
            else:
                span.set_attribute("rpc.response.status_code", "OK")
            finally:
                _describe(span, call)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


def _describe(span: trace.Span, call: Call) -> None:
    if call.principal is not None:
        span.set_attribute("cohort.team", call.principal.team)
    if call.model:
        span.set_attribute("gen_ai.request.model", call.model)
    if call.attempts:
        span.set_attribute("cohort.attempts", call.attempts)
