"""Plays one run again, or many: `python -m tests.simulation SEED SCENARIO`, `… FIRST-LAST SCENARIO`."""

import argparse
from dataclasses import asdict

from tests.simulation.scenarios import SCENARIOS
from tests.simulation.simulator import Simulation
from tests.simulation.sweep import sweep


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", help="one, or the first and the last of many")
    parser.add_argument("scenario", choices=SCENARIOS)
    arguments = parser.parse_args()
    scenario = SCENARIOS[arguments.scenario]
    first, many, last = arguments.seeds.partition("-")
    if many:
        sums = sweep(scenario, range(int(first), int(last) + 1))
        print(sums, *sums.violations, sep="\n")
        return bool(sums.violations)
    report = Simulation(scenario, int(first)).run()
    print("\n".join(f"{name}: {value}" for name, value in asdict(report).items()))
    return bool(report.violations)


if __name__ == "__main__":
    raise SystemExit(main())
