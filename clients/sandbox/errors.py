"""A refusal as Cohere words it: an HTTP status, `{"id", "message"}` and sometimes an `error_type`."""

from typing import Any

MESSAGES = {
    400: "invalid request",
    401: "invalid api token",
    402: "Please add or update your payment method to continue",
    403: "this api key is not permitted to use this endpoint",
    404: "not found",
    408: "request timeout",
    409: "conflict with another request",
    413: "request body too large",
    422: "unprocessable entity",
    429: "You are past the rate limit, please wait and try again later.",
    498: "blocked input: please update the message and try again.",
    499: "request cancelled",
    500: "internal server error, this has been reported to our developers",
    501: "not implemented",
    502: "bad gateway",
    503: "the service is currently overloaded, please try again later",
    504: "timeout while waiting for the model",
    520: "unknown error",
}


class CohereError(Exception):
    """A request that is answered with an error body.

    Attributes:
        status: HTTP status.
        message: The text of the body's `message`.
        error_type: The body's `error_type`, which Cohere sends with some 422; "" for none.
    """

    def __init__(self, status: int, message: str = "", error_type: str = "") -> None:
        self.status = status
        self.message = message or MESSAGES.get(status, "error")
        self.error_type = error_type
        super().__init__(f"{status}: {self.message}")

    def body(self, answer_id: str) -> dict[str, Any]:
        """The JSON object Cohere would send."""
        body = {"id": answer_id, "message": self.message}
        return {**body, "error_type": self.error_type} if self.error_type else body


def invalid(message: str) -> CohereError:
    """A 400 whose text begins as Cohere's do."""
    return CohereError(400, f"invalid request: {message}")
