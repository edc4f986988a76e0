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


class Span:
    """What became of a request, told to OpenTelemetry."""

    def __init__(self, span: Any) -> None:
        self._span = span

    def answered(self, reply: Reply, cost: Decimal | None) -> None:
        """Note the reply's usage and cost."""
        if self._span is not None and self._span.is_recording():
            told = {
                "gen_ai.usage.input_tokens": reply.input_tokens,
                "gen_ai.usage.output_tokens": reply.output_tokens,
                "gen_ai.response.finish_reasons": [reply.finish_reason] if reply.finish_reason else None,
                "onethinker.cost_usd": None if cost is None else float(cost),
            }
            self._span.set_attributes({name: value for name, value in told.items() if value is not None})

    def failed(self, failure: Failure) -> None:
        """Note why there was none."""
        if self._span is not None and self._span.is_recording():
            self._span.set_attribute("error.type", failure.reason)


@contextmanager
def request_span(teacher: str, trace_id: str) -> Iterator[Span]:
    """A span named `annotate` around one request."""
    if _tracer is None:
        yield Span(None)
        return
    provider, _, model = teacher.partition(":")
    about = {"gen_ai.provider.name": provider, "gen_ai.request.model": model, "onethinker.trace_id": trace_id}
    with _tracer.start_as_current_span("annotate", attributes=about, record_exception=False) as span:
        yield Span(span)
