"""One structured line per call: who, what, how it ended, what Cohere billed. Never content, never a credential."""

from google.protobuf.message import Message

from service.call import Call
from service.context import Context
from service.interceptors.chain import Proceed
from service.status import OK, outcome_of
from service.telemetry.log import CallLog


class AuditInterceptor:
    """Writes the line before the answer leaves."""

    def __init__(self, log: CallLog) -> None:
        self._log = log

    async def intercept(self, call: Call, context: Context, proceed: Proceed) -> Message | None:
        """See `Interceptor`."""
        outcome = OK
        try:
            return await proceed(call, context)
        except BaseException as error:
            outcome = outcome_of(error)
            raise
        finally:
            self._log.ended(call, outcome)
