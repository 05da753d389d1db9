"""The cost of limits and pacing, measured for a moment."""

from bench.limits import limit_costs


def test_what_limits_cost_is_measured_for_calls_and_inputs() -> None:
    costs = limit_costs(calls=200)

    assert [each.workload for each in costs] == ["Chat", "Embed 96"]
    assert all(0 < each.cpu_us < 1000 for each in costs)
