"""Real callers: one whole call whose answer is compared, and what the service says it counted."""

import urllib.request
from typing import Any

import grpc
from google.protobuf.message import Message
from prometheus_client.parser import text_string_to_metric_families

from bench.load import CallsFailed
from bench.workloads import RECEIPT, Workload
from cohort.v1.gateway_service_pb2_grpc import GatewayServiceStub

_DEADLINE_S = 30


def call_once(workload: Workload, port: int, access_key: str) -> None:
    """Makes one call and checks what it brings, message for message.

    Raises:
        CallsFailed: It failed, or brought something else than the upstream answered.
    """
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)]) as channel:
        method = getattr(GatewayServiceStub(channel), workload.method)
        try:
            answer: Any = method(workload.request, timeout=_DEADLINE_S, metadata=(("x-api-key", access_key),))
            messages = list(answer) if workload.streams else [answer]
        except grpc.RpcError as error:
            raise CallsFailed(f"{workload.name}: {error}") from None
    if tuple(map(_with_our_receipt, messages)) != workload.messages:
        raise CallsFailed(f"{workload.name}: the answer is not what the upstream said")


def _with_our_receipt(message: Message) -> Message:
    holder: Any = getattr(message, "message_end", message)
    if holder is message or message.HasField("message_end"):
        holder.receipt.CopyFrom(RECEIPT)
    return message


def counted_calls(metrics_port: int, workload: Workload) -> tuple[int, int]:
    """How many calls of the workload's RPC the service has counted: those that ended OK, and all others."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=_DEADLINE_S) as page:
        return counted_in(page.read().decode(), f"/cohort.v1.GatewayService/{workload.method}")


def counted_in(metrics: str, rpc: str) -> tuple[int, int]:
    """The same, in the text that Prometheus would read."""
    ok = others = 0
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == "cohort_calls_total" and sample.labels["rpc"] == rpc:
                if sample.labels["code"] == "OK":
                    ok += int(sample.value)
                else:
                    others += int(sample.value)
    return ok, others
