"""What can go wrong in an exchange, told apart by what it means for the bill.

HttpFault
├── ConnectFailed      no connection: nothing was sent
├── Disconnected       the connection broke before the answer was complete
├── Silent             no byte came for too long
├── NotHttp            the bytes are no HTTP/1.1 answer
└── TooLarge           the answer exceeds its bound
"""


class HttpFault(Exception):
    """An exchange without a complete answer. The connection is closed."""


class ConnectFailed(HttpFault):
    """Name resolution, TCP or TLS failed, or took too long."""


class Disconnected(HttpFault):
    """The peer closed or reset the connection."""


class Silent(HttpFault):
    """The peer kept the connection and sent nothing."""


class NotHttp(HttpFault):
    """The peer does not speak HTTP/1.1, or its compression is broken."""


class TooLarge(HttpFault):
    """Headers or body exceed their bound."""
