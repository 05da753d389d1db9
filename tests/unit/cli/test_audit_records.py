"""`cohort audit list` and `tail`: which records are asked for, and how they are shown."""

import datetime
import itertools
import json
import time
from pathlib import Path
from typing import Any

import grpc
import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from cohort.v1.audit_pb2 import AuditRecord, ListAuditRecordsRequest, ListAuditRecordsResponse
from service.cli import main
from service.cli.audit_records import KINDS, as_text
from service.cli.audit_tail import OVERLAP, Watch
from tests.unit.cli.answering import answering

SECOND_US = 1_000_000
START_US = 1_795_255_200 * SECOND_US
INTENT = {"rpc": "/cohort.v1.GatewayService/Chat", "model": "command-a", "principal": "bot", "hold_nanos": 5_172_500}


def record(seq: int, kind: str = "intent", body: Any = None, writer_id: str = "w") -> AuditRecord:
    made = AuditRecord(
        writer_id=writer_id,
        seq=seq,
        kind=KINDS[kind],
        call_id="call-1",
        team="search",
        body_json=orjson.dumps(INTENT if body is None else body).decode(),
        hash=bytes([seq % 256]) * 32,
    )
    made.time.FromMicroseconds(START_US + seq * SECOND_US)
    return made


def listed(tmp_path: Path, answers: list[ListAuditRecordsResponse], *more: str) -> list[ListAuditRecordsRequest]:
    with answering(*answers) as service:
        assert main(["audit", "list", *more, *service.flags(tmp_path)]) == 0
    return [request for request in service.requests if isinstance(request, ListAuditRecordsRequest)]


def test_conditions_become_the_request(tmp_path: Path) -> None:
    flags = ["--team", "search", "--kind", "outcome", "--call", "c", "--reason", "BUDGET_SPENT", "--newest-first"]
    window = ["--from", "2026-11-21", "--to", "2026-11-21T10:00+01:00"]
    (request,) = listed(tmp_path, [ListAuditRecordsResponse()], *flags, *window)

    assert request == ListAuditRecordsRequest(
        team="search",
        kind=KINDS["outcome"],
        call_id="c",
        reason="BUDGET_SPENT",
        newest_first=True,
        start_time=Timestamp(seconds=1_795_219_200),
        end_time=Timestamp(seconds=1_795_251_600),
        page_size=100,
    )


def test_pages_are_asked_for_until_there_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = ListAuditRecordsResponse(records=map(record, range(1000)), next_page_token="more")
    second = ListAuditRecordsResponse(records=map(record, range(1000, 1200)), next_page_token="and more")
    requests = listed(tmp_path, [first, second], "--records-max", "1200", "--json")

    assert [(request.page_size, request.page_token) for request in requests] == [(1000, ""), (200, "more")]
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == list(range(1200))


def test_a_page_without_a_next_one_is_the_last(tmp_path: Path) -> None:
    assert len(listed(tmp_path, [ListAuditRecordsResponse(records=[record(0)])], "--records-max", "5000")) == 1


def test_records_as_json_are_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed(tmp_path, [ListAuditRecordsResponse(records=[record(3)])], "--json")

    assert json.loads(capsys.readouterr().out) == {
        "writer_id": "w",
        "seq": 3,
        "kind": "intent",
        "call_id": "call-1",
        "team": "search",
        "at_us": START_US + 3 * SECOND_US,
        "body": orjson.dumps(INTENT).decode(),
        "hash": "03" * 32,
    }


def test_records_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = {"code": "OK", "state": "settled", "charge_nanos": 395_000, "last": True}
    unknown = {"code": "UNAVAILABLE", "reason": "COHERE_TIMEOUT", "state": "forfeited", "last": False}
    answer = {"rpc": "/cohort.v1.GatewayService/Chat", "code": "RESOURCE_EXHAUSTED", "reason": "BUDGET_SPENT"}
    notice = {"event": "adjusted", "amount_nanos": -5, "principal": "ops\u001b[31m", "note": ""}
    records = [
        record(0), record(1, "outcome", outcome), record(2, "outcome", unknown),
        record(3, "answer", answer), record(4, "notice", notice),
    ]  # fmt: skip
    listed(tmp_path, [ListAuditRecordsResponse(records=records)])

    assert capsys.readouterr().out.splitlines() == [
        "TIME (UTC)                  KIND     TEAM    CALL    WHAT",
        "2026-11-21 10:00:00.000000  intent   search  call-1  Chat command-a by bot, holds $0.0051725",
        "2026-11-21 10:00:01.000000  outcome  search  call-1  OK: settled, cost $0.000395, ends the call",
        "2026-11-21 10:00:02.000000  outcome  search  call-1  COHERE_TIMEOUT: forfeited, cost unknown",
        "2026-11-21 10:00:03.000000  answer   search  call-1  Chat BUDGET_SPENT to an unknown caller",
        "2026-11-21 10:00:04.000000  notice   search  call-1  adjusted: amount -$0.000000005, principal ops\ufffd[31m",
    ]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {
                "event": "refusals_aggregated",
                "counts": {"BUDGET_SPENT": 7},
                "sources": {"key-1": 5, "key-2": 2},
                "usages": [["", 7]],
            },
            "refusals_aggregated: 7 BUDGET_SPENT, of 2 sources, most of key-1",
        ),
        (
            {"event": "holds_forfeited", "attempts": [{"hold_nanos": 395_000}, {"hold_nanos": 5_000}]},
            "holds_forfeited: 2 attempts",
        ),
        (
            {"event": "adjusted", "amount_nanos": 5, "principal": "", "note": "x"},
            "adjusted: amount $0.000000005, note x",
        ),
        ({"event": "writer_started", "last_checkpoint": {"number": 3, "hash": "00"}}, "writer_started"),
        ({"event": "x", "attempts": "y", "counts": 5, "amount_nanos": "z"}, "x: attempts y, counts 5, amount_nanos z"),
    ],
)
def test_a_notice_is_told_with_what_it_counts(body: dict[str, Any], told: str) -> None:
    assert as_text(record(0, "notice", body)).endswith(f"  {told}\n")


@pytest.mark.parametrize("body", [{}, {"hold_nanos": "x", "rpc": 5}])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_record_says_it_is_one_line(kind: str, body: dict[str, Any]) -> None:
    assert as_text(record(0, kind, body)).count("\n") == 1


@pytest.mark.parametrize("written", ["0", "-1", "ten"])
def test_no_number_of_records_is_a_wrong_command_line(written: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["audit", "list", "--records-max", written])

    assert ended.value.code == 2


def test_a_refused_listing_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(ListAuditRecordsResponse(), refusal=(grpc.StatusCode.PERMISSION_DENIED, "no")) as service:
        code = main(["audit", "list", *service.flags(tmp_path)])

    assert (code, capsys.readouterr().err) == (1, "PERMISSION_DENIED: no\n")


# Tail


def test_a_watch_gives_each_record_once() -> None:
    watch = Watch()
    first = watch.new([record(1), record(2)])
    again = watch.new([record(2), record(3), record(2, writer_id="another")])

    assert [each.seq for each in first] == [1, 2]
    assert [(each.writer_id, each.seq) for each in again] == [("w", 3), ("another", 2)]


def test_a_watch_looks_back_for_records_of_slower_replicas_and_forgets_what_is_older() -> None:
    watch = Watch()
    watch.new([record(seq) for seq in range(100)])
    newest = datetime.datetime.fromtimestamp(START_US / SECOND_US + 99, datetime.UTC)

    assert watch.since == newest - OVERLAP
    assert len(watch._shown) == OVERLAP.total_seconds() + 1


def test_what_a_watch_leaves_in_the_trail_itself_is_not_shown() -> None:
    own = record(1, "answer", {"rpc": "/cohort.v1.AdminService/ListAuditRecords", "code": "OK"})

    assert Watch().new([own, record(2)]) == [record(2)]


def test_a_tail_shows_the_newest_and_then_what_comes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()

    def sleep(_: float) -> None:
        if next(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    answers = [
        ListAuditRecordsResponse(records=[record(2), record(1)]),
        ListAuditRecordsResponse(records=[record(1), record(2), record(3)]),
        ListAuditRecordsResponse(records=[record(2), record(3)]),
    ]
    with answering(*answers) as service:
        code = main(["audit", "tail", "--all-teams", "--json", *service.flags(tmp_path)])
    newest, *later = [request for request in service.requests if isinstance(request, ListAuditRecordsRequest)]

    assert code == 130
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == [1, 2, 3]
    assert (newest.newest_first, newest.all_teams, newest.page_size) == (True, True, 10)
    since_s = [request.start_time.seconds for request in later]
    assert since_s == [START_US // SECOND_US + 2 - 30, START_US // SECOND_US + 3 - 30]
