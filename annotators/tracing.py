"""A span for every request where OpenTelemetry is installed and set up; else nothing. No text, media or key in any."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from annotators.messages import Failure, Reply

try:
    from opentelemetry import trace

    _tracer: Any = trace.get_tracer("onethinker.annotators")
except ImportError:
    _tracer = None


class RequestSpan:
    """The OpenTelemetry span of one request; does nothing if no tracer is installed."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def record_reply(self, reply: Reply, cost: Decimal | None) -> None:
        """Add the reply's usage and cost."""
        if self._span is not None and self._span.is_recording():
            attributes = {
                "gen_ai.usage.input_tokens": reply.input_tokens,
                "gen_ai.usage.output_tokens": reply.output_tokens,
                "gen_ai.response.finish_reasons": [reply.finish_reason] if reply.finish_reason else None,
                "onethinker.cost_usd": None if cost is None else float(cost),
            }
            self._span.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def record_failure(self, failure: Failure) -> None:
        """Add why there was no reply."""
        if self._span is not None and self._span.is_recording():
            self._span.set_attribute("error.type", failure.reason)


@contextmanager
def request_span(teacher: str, trace_id: str) -> Iterator[RequestSpan]:
    """A span named `annotate` around one request."""
    if _tracer is None:
        yield RequestSpan(None)
        return
    provider, _, model = teacher.partition(":")
    attributes = {"gen_ai.provider.name": provider, "gen_ai.request.model": model, "onethinker.trace_id": trace_id}
    with _tracer.start_as_current_span("annotate", attributes=attributes, record_exception=False) as span:
        yield RequestSpan(span)
