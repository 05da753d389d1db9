import dataclasses

import orjson
import pytest

from bench.compare import Comparison, Sample
from bench.loop import LoopBlock
from bench.report import Results, json_of, text_of

MACHINE = {"cores": 2, "processor": "Some CPU", "load_average": 0.25, "versions": {"python": "3.11.7"}}


def comparison(workload: str, echo_us: list[float], cohort_us: list[float], messages: int = 1) -> Comparison:
    return Comparison(
        workload,
        messages=messages,
        calls=100,
        echo=tuple(Sample(cpu_us, 1e6 / cpu_us) for cpu_us in echo_us),
        cohort=tuple(Sample(cpu_us, 1e6 / cpu_us) for cpu_us in cohort_us),
    )


def results(*, chat_us: float = 300, embed_us: float = 1200, stream_us: float = 6000, block_ms: float = 4) -> Results:
    return Results(
        MACHINE,
        [
            comparison("Chat", [100, 100, 100], [chat_us] * 3),
            comparison("ChatStream", [3000] * 3, [stream_us] * 3, messages=200),
            comparison("Embed 96", [300] * 3, [embed_us] * 3),
        ],
        [LoopBlock("Chat", 700, 32, ms=99, own_ms=1), LoopBlock("Chat, one text", 10**6, 8, ms=200, own_ms=block_ms)],
    )


def test_a_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_the_medians() -> None:
    # The machine was slow during the second pair: both took three times as long.
    uneven = comparison("Chat", [100, 300, 120], [310, 900, 330])

    assert uneven.cpu_ratio == 3.0
    assert (uneven.echo_cpu_us, uneven.cohort_cpu_us) == (120, 330)


def test_targets_that_are_kept_are_met() -> None:
    assert [target.met for target in results().targets()] == [True] * 4


@pytest.mark.parametrize(
    ("missed", "name"),
    [
        (results(chat_us=451), "Chat, CPU per call"),
        (results(embed_us=2001), "Embed 96 x 1,536, CPU per call"),
        (results(stream_us=12_001), "ChatStream, CPU per event"),
        (results(block_ms=20.1), "event loop, longest block"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_target_can_be_missed_alone(missed: Results, name: str) -> None:
    assert [target.name for target in missed.targets() if not target.met] == [name]
    assert f"MISSED  {name}" in text_of(missed)


def test_what_others_took_from_the_machine_misses_no_target() -> None:
    loop = results(block_ms=19.9).targets()[-1]

    assert (loop.figure, loop.met) == (19.9, True)


def test_the_tables_show_where_and_what_was_measured() -> None:
    text = text_of(results())

    assert "2 cores (Some CPU), load 0.2" in text
    assert "python 3.11.7" in text
    assert ["Chat", "100", "300", "3.00", "10000", "3333"] in [line.split() for line in text.splitlines()]
    assert "  each of 200 events" in text
    assert ["Chat,", "one", "text", "1000000", "8", "4.0", "200.0"] in [line.split() for line in text.splitlines()]


def test_the_json_holds_every_measurement() -> None:
    measured = results()
    written = orjson.loads(orjson.dumps(json_of(measured)))

    assert written["comparisons"][0]["cohort"] == [dataclasses.asdict(Sample(300, 1e6 / 300))] * 3
    assert written["comparisons"][0]["cpu_ratio"] == 3.0
    assert written["loop_blocks"][1] == {
        "workload": "Chat, one text", "request_bytes": 1_000_000, "in_flight": 8, "ms": 200, "own_ms": 4,
    }  # fmt: skip
    assert written["machine"] == MACHINE
    assert [target["met"] for target in written["targets"]] == [True] * 4
