import dataclasses

import orjson
import pytest

from bench.compare import Comparison, Sample
from bench.identity import CheckCost
from bench.limits import LimitCost
from bench.loop import LoopBlock
from bench.report import Results, json_of, text_of
from bench.spread import Spread
from bench.waits import BUSY_CALLS_PER_S, CALM_CALLS_PER_S, Waits
from bench.workloads import CHAT_ON_BARE_FILE, CHAT_ON_POSTGRES

MACHINE = {"cores": 2, "processor": "Some CPU", "load_average": 0.25, "versions": {"python": "3.11.7"}}


def comparison(workload: str, echo_us: list[float], cohort_us: list[float], messages: int = 1) -> Comparison:
    return Comparison(
        workload,
        messages=messages,
        calls=100,
        echo=tuple(Sample(cpu_us, 1e6 / cpu_us) for cpu_us in echo_us),
        cohort=tuple(Sample(cpu_us, 1e6 / cpu_us) for cpu_us in cohort_us),
    )


def waits(workload: str, pace_calls_per_s: int, p50_ms: float, p99_ms: float, sync_after_ms: float = 0.2) -> Waits:
    return Waits(
        workload,
        pace_calls_per_s,
        calls=2500,
        calls_per_s=pace_calls_per_s - 1.0,
        entries_per_commit=1.5,
        both=Spread(p50_ms, p99_ms),
        late=Spread(0.1, 0.5),
        sync_before=Spread(0.1, 0.3),
        sync_after=Spread(sync_after_ms, 0.6),
    )


def results(
    *,
    chat_us: float = 300,
    postgres_us: float = 400,
    embed_us: float = 1200,
    stream_us: float = 6000,
    block_ms: float = 4,
    p50_ms: float = 0.75,
    p99_ms: float = 2.5,
    sync_after_ms: float = 0.2,
    check_us: float = 4.5,
    limits_us: float = 7.5,
) -> Results:
    return Results(
        MACHINE,
        [
            comparison("Chat", [100, 100, 100], [chat_us] * 3),
            comparison("ChatStream", [3000] * 3, [stream_us] * 3, messages=200),
            comparison("Embed 96", [300] * 3, [embed_us] * 3),
            comparison(CHAT_ON_POSTGRES, [100] * 3, [postgres_us] * 3),
        ],
        [LoopBlock("Chat", 700, 32, ms=99, own_ms=1), LoopBlock("Chat, one text", 10**6, 8, ms=200, own_ms=block_ms)],
        [
            waits("Chat", CALM_CALLS_PER_S, 5.5, 7.5),
            waits("Chat", BUSY_CALLS_PER_S, 0.5, 1.5),
            waits(CHAT_ON_POSTGRES, BUSY_CALLS_PER_S, p50_ms, p99_ms, sync_after_ms),
            waits(CHAT_ON_BARE_FILE, BUSY_CALLS_PER_S, 6.5, 8.5),
        ],
        [CheckCost("access key", check_us)],
        [LimitCost("Chat", limits_us)],
    )


def test_a_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_the_medians() -> None:
    # The machine was slow during the second pair: both took three times as long.
    uneven = comparison("Chat", [100, 300, 120], [310, 900, 330])

    assert uneven.cpu_ratio == 3.0
    assert (uneven.echo_cpu_us, uneven.cohort_cpu_us) == (120, 330)


def test_targets_that_are_kept_are_met() -> None:
    assert [target.met for target in results().targets()] == [True] * 11


@pytest.mark.parametrize(
    ("missed", "name"),
    [
        (results(chat_us=451), "Chat, CPU per call"),
        (results(postgres_us=451), "Chat on PostgreSQL, CPU per call"),
        (results(embed_us=2001), "Embed 96 x 1,536, CPU per call"),
        (results(stream_us=12_001), "ChatStream, CPU per event"),
        (results(block_ms=20.1), "event loop, longest block"),
        (results(p50_ms=1.1), "Chat on PostgreSQL, wait for both records, p50"),
        (results(p99_ms=3.1), "Chat on PostgreSQL, wait for both records, p99"),
        (results(limits_us=10.1), "limits and pacing, CPU per Chat"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_target_can_be_missed_alone(missed: Results, name: str) -> None:
    assert [target.name for target in missed.targets() if not target.met] == [name]
    assert f"MISSED  {name}" in text_of(missed)


def test_what_others_took_from_the_machine_misses_no_target() -> None:
    (loop,) = (target for target in results(block_ms=19.9).targets() if target.name.startswith("event loop"))

    assert (loop.figure, loop.met) == (19.9, True)


def test_a_disk_that_is_slow_is_named_and_judges_no_wait() -> None:
    slow = results(p50_ms=4, p99_ms=9, sync_after_ms=0.51)
    why = "not judged, the disk is slower than the target supposes: fdatasync p50 0.51 ms, at most 0.5"

    assert [target.met for target in slow.targets()] == [*[True] * 7, None, None, True, True]
    assert f"-       Chat on PostgreSQL, wait for both records, p50: 4.00 ms, at most 1; {why}" in text_of(slow)


def test_the_tables_show_where_and_what_was_measured() -> None:
    text = text_of(results())

    assert "2 cores (Some CPU), load 0.2" in text
    assert "python 3.11.7" in text
    assert ["Chat", "100", "300", "3.00", "10000", "3333"] in [line.split() for line in text.splitlines()]
    assert "  each of 200 events" in text
    assert "0.75    2.50       0.10    0.30       0.20    0.60" in text
    assert ["Chat", "100", "99", "1.50", "5.50", "7.50", *["0.10", "0.30", "0.20", "0.60"]] in [
        line.split() for line in text.splitlines()
    ]
    assert ["Chat,", "one", "text", "1000000", "8", "4.0", "200.0"] in [line.split() for line in text.splitlines()]


def test_the_json_holds_every_measurement() -> None:
    measured = results()
    written = orjson.loads(orjson.dumps(json_of(measured)))

    assert written["comparisons"][0]["cohort"] == [dataclasses.asdict(Sample(300, 1e6 / 300))] * 3
    assert written["comparisons"][0]["cpu_ratio"] == 3.0
    assert written["loop_blocks"][1] == {
        "workload": "Chat, one text", "request_bytes": 1_000_000, "in_flight": 8, "ms": 200, "own_ms": 4,
    }  # fmt: skip
    assert written["waits"][2]["both"] == {"p50_ms": 0.75, "p99_ms": 2.5}
    assert written["machine"] == MACHINE
    assert [target["met"] for target in written["targets"]] == [True] * 11
