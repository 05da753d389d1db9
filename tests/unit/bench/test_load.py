import pytest

from bench.load import CallsFailed, Load, load_of

REPORT = """
finished in 1.87s, 2139.04 req/s, 5.05MB/s
requests: 4000 total, 4000 started, 4000 done, {succeeded} succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 9.44MB (9902308) total, 351.68KB (360116) headers (space savings 60.18%), 9.07MB ({received}) data
"""


def test_a_report_of_answered_calls_gives_their_rate() -> None:
    report = REPORT.format(succeeded=4000, received=4000 * 2378)

    assert load_of(report, 4000, 2378) == Load(calls=4000, calls_per_s=2139.04)


@pytest.mark.parametrize(
    ("succeeded", "received"),
    [(3999, 4000 * 2378), (4000, 3980 * 2378), (4000, 0), (4000, 4000 * 2387)],
    ids=["one unanswered", "twenty without their message", "refused in trailers", "longer than due"],
)
def test_calls_that_were_not_answered_in_full_give_no_figures(succeeded: int, received: int) -> None:
    with pytest.raises(CallsFailed, match=f"{succeeded} of 4000 calls"):
        load_of(REPORT.format(succeeded=succeeded, received=received), 4000, 2378)


def test_a_report_that_is_not_understood_is_shown() -> None:
    with pytest.raises(CallsFailed, match="process could not connect"):
        load_of("process could not connect", 4000, 2378)
