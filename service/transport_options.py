"""What keeps one hostile or careless caller from hurting the others: gRPC's own limits, and bounds on deadlines.

Measured against a default grpc.aio server: rapid reset from one connection failed nine of ten of the other callers'
calls, with these bounds none (docs/decisions/0003-streams-per-connection.md); silent connections stayed for two
minutes; metadata between the soft and the hard limit was refused at random.
"""

from service.config import ServerConfig
from service.identity import credential

UNARY_DEADLINE_DEFAULT_S = 60.0
UNARY_DEADLINE_MAX_S = 300.0
STREAM_DEADLINE_MAX_S = 900.0

METADATA_BYTES_MAX = credential.METADATA_BYTES_MAX
STREAMS_PER_CONNECTION_MAX = 100
STREAMS_ENDING_MAX = 100
"""Streams of one connection that have ended on the wire and not yet in this process."""
READ_BYTES_MAX = 256 * 1024
CALLS_WAITING_MAX = 20_000
"""Calls that gRPC has received and the event loop has not yet taken up, of all connections together."""
HANDSHAKE_TIMEOUT_MS = 3000
CONNECTION_AGE_MS_MAX = 3_600_000
PING_INTERVAL_MS_MIN = 10_000
STREAMING = frozenset({"/cohort.v1.GatewayService/ChatStream"})


def options_of(server: ServerConfig) -> list[tuple[str, int]]:
    """Channel arguments of the gRPC server."""
    return [
        # Callers keep to this and let further calls wait.
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
        # gRPC refuses streams by how many it still holds, not by how many are open: that is what stops rapid reset.
        # But a caller that begins a call as soon as another has ended is a little ahead of us; without room for
        # that, one that always has 200 calls to make is told UNAVAILABLE for a tenth and more of them.
        ("grpc.http2.max_deallocating_streams", STREAMS_ENDING_MAX),
        # From a thousand on gRPC cancels waiting calls at random, anyone's. An attacker's six connections fill that.
        ("grpc.server.max_pending_requests", CALLS_WAITING_MAX),
        ("grpc.server.max_pending_requests_hard_limit", CALLS_WAITING_MAX),
        # By default a read may take megabytes: four connections of small frames then hold 150 MB more than with this.
        ("grpc.experimental.tcp_max_read_buffer_size", READ_BYTES_MAX),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        ("grpc.max_receive_message_length", server.message_bytes_max),
        ("grpc.max_send_message_length", -1),
        # Between a soft and a hard limit gRPC refuses at random; one byte apart they are one limit.
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX + 1),
        ("grpc.max_connection_age_ms", CONNECTION_AGE_MS_MAX),
        # At its end running calls are cut, so it outlasts the longest.
        ("grpc.max_connection_age_grace_ms", int(STREAM_DEADLINE_MAX_S * 1000) + 60_000),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MS_MIN),
        ("grpc.http2.max_ping_strikes", 2),
        # Find peers that are gone without a word.
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        # By default a second process would silently share the port.
        ("grpc.so_reuseport", 0),
    ]


def deadline_s_of(rpc: str, remaining_s: float | None, now_s: float, margin_s: float) -> float:
    """When our answer must leave.

    Args:
        rpc: Full method path.
        remaining_s: What the caller allows, None if it set no deadline.
        now_s: The event loop's time.
        margin_s: How long before the caller's deadline our own status leaves.
    """
    max_s = STREAM_DEADLINE_MAX_S if rpc in STREAMING else UNARY_DEADLINE_MAX_S
    default_s = STREAM_DEADLINE_MAX_S if rpc in STREAMING else UNARY_DEADLINE_DEFAULT_S
    if remaining_s is None:
        return now_s + default_s
    return now_s + min(remaining_s - margin_s, max_s)
