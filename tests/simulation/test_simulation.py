"""The books hold what they promise in simulated days; `python -m tests.simulation SEED SCENARIO` plays one again."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.scenarios import BURST, SCENARIOS, Scenario
from tests.simulation.simulator import Simulation
from tests.simulation.sweep import Sweep, sweep

USABLE_SHARE_MIN = {"calm": 0.995, "burst": 0.988, "chaos": 0.97}
RUNS = {"calm": 5, "burst": 8, "chaos": 5}
PROMISED_REFUSALS = {"BudgetInFlight", "BudgetSpent", "CANCELLED"}
"""All that a call without an answer may get while nothing goes wrong."""
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=list(SCENARIOS))


@pytest.mark.slow
@pytest.mark.timeout(180)
@each_scenario
def test_no_budget_is_overspent_nor_left_unused(scenario: Scenario) -> None:
    require_kept(sweep(scenario, range(RUNS[scenario.name])))


@pytest.mark.prove
@each_scenario
def test_no_budget_is_overspent_nor_left_unused_in_200_runs(scenario: Scenario) -> None:
    require_kept(sweep(scenario, range(1000, 1200)))


def require_kept(sums: Sweep) -> None:
    print(sums)

    assert sums.violations == []
    assert sums.overspent_nanos == 0
    assert sums.usable_share >= USABLE_SHARE_MIN[sums.scenario.name]
    if sums.scenario.is_faultless:
        assert set(sums.counts) <= PROMISED_REFUSALS


def test_two_seeds_make_two_runs() -> None:
    assert Simulation(BURST, 1).run().trail != Simulation(BURST, 2).run().trail


def test_a_seed_makes_the_same_run_in_every_process() -> None:
    first, second = (played("3", "chaos", hash_seed) for hash_seed in ("1", "2"))

    assert first == second
    assert "violations: []" in first


def played(seed: str, scenario: str, hash_seed: str) -> str:
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation", seed, scenario],
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": f"{root}:{root / 'protos'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout
