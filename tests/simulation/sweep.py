"""Many runs of one scenario, summed up."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.scenarios import DOLLAR_NANOS, Scenario
from tests.simulation.simulator import Simulation


@dataclass
class Sweep:
    """The sums of some runs."""

    scenario: Scenario
    runs: int = 0
    calls: int = 0
    transactions: int = 0
    billed_nanos: int = 0
    overspent_nanos: int = 0
    exhausted_nanos: int = 0
    exhausted_limit_nanos: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    """Each with the command that plays its run again."""
    took_s: float = 0.0

    @property
    def usable_share(self) -> float:
        """What was billed of the budgets that calls were refused for."""
        return self.exhausted_nanos / self.exhausted_limit_nanos if self.exhausted_limit_nanos else 0.0

    def __str__(self) -> str:
        return (
            f"{self.scenario.name}: {self.runs} runs, {self.calls} calls, {self.transactions} transactions, "
            f"billed ${self.billed_nanos / DOLLAR_NANOS:.2f}, overspent ${self.overspent_nanos / DOLLAR_NANOS:.2f}, "
            f"usable share {self.usable_share:.2%}, {len(self.violations)} violations, "
            f"{self.calls / self.took_s:.0f} calls/s; {dict(sorted(self.counts.items()))}"
        )


def sweep(scenario: Scenario, seeds: Iterable[int]) -> Sweep:
    """Plays one run for each seed."""
    sums = Sweep(scenario)
    began_s = time.process_time()
    for seed in seeds:
        report = Simulation(scenario, seed).run()
        sums.runs += 1
        sums.calls += report.calls
        sums.transactions += report.transactions
        sums.billed_nanos += report.billed_nanos
        sums.overspent_nanos += report.overspent_nanos
        sums.exhausted_nanos += report.exhausted_nanos
        sums.exhausted_limit_nanos += report.exhausted_limit_nanos
        sums.counts.update(report.counts)
        sums.violations += [f"python -m tests.simulation {seed} {scenario.name}: {each}" for each in report.violations]
    sums.took_s = time.process_time() - began_s
    return sums
