import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.simulator import Simulation

SEEDS_MAX = 10


@pytest.mark.parametrize("what", MUTANTS)
def test_an_oracle_notices_when(what: str) -> None:
    scenario, mutant = MUTANTS[what]
    with mutant():
        reports = (Simulation(scenario, seed).run() for seed in range(SEEDS_MAX))
        noticed = next((report for report in reports if report.violations), None)

    assert noticed is not None
    assert noticed.violations[0].partition(":")[0] not in {"code", "log"}  # by what it does, not by how it fails
    print(f"{what}: {scenario.name} {noticed.seed}: {noticed.violations[0]}")
