"""Counts and times every call, and opens its span where tracing is on."""

import time
from typing import TYPE_CHECKING

from google.protobuf.message import Message

from service.call import Call
from service.context import Context
from service.interceptors.chain import Proceed
from service.status import OK, outcome_of
from service.telemetry.metrics import Metrics

if TYPE_CHECKING:  # an optional extra
    from service.telemetry.tracing import Tracing


class TelemetryInterceptor:
    """Feeds metrics and spans with each call's outcome."""

    def __init__(self, metrics: Metrics, tracing: "Tracing | None") -> None:
        self._metrics = metrics
        self._tracing = tracing

    async def intercept(self, call: Call, context: Context, proceed: Proceed) -> Message | None:
        """See `Interceptor`."""
        if self._tracing is None:
            return await self._measured(call, context, proceed)
        with self._tracing.span_of(call):
            return await self._measured(call, context, proceed)

    async def _measured(self, call: Call, context: Context, proceed: Proceed) -> Message | None:
        outcome = OK
        self._metrics.call_started(call)
        try:
            return await proceed(call, context)
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._metrics.call_ended(call, outcome, (time.perf_counter_ns() - call.started_ns) / 1e9)
