"""Reads pytest's JUnit reports, named as arguments, and fails unless every suite ran and nothing was skipped."""

import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

# A tool that only Go can build: the tests with grpcurl ask the same of the service.
EXCUSED = "grpc-health-probe"
PROBLEMS = ("failure", "error")


def main() -> int:
    """Prints what ran; returns the exit status."""
    outcomes = Counter[tuple[str, str]]()
    complaints: list[str] = []
    for report in sys.argv[1:]:
        for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314  pytest's own, written a moment ago
            suite = ".".join(case.attrib["classname"].split(".")[:2])
            skipped = case.find("skipped")
            if skipped is not None and EXCUSED not in skipped.attrib["message"]:
                complaints.append(f"{case.attrib['classname']}.{case.attrib['name']}: {skipped.attrib['message']}")
            outcomes[suite, outcome(case)] += 1
    for suite in suites():
        passed, failed, skipped_tests = (outcomes[suite, each] for each in ("passed", "failed", "skipped"))
        print(f"{suite}: {passed} passed, {failed} failed, {skipped_tests} skipped")
        if not passed:
            complaints.append(f"{suite}: nothing of it ran")
    for complaint in complaints:
        print(f"not run: {complaint}", file=sys.stderr)
    totals = Counter[str]()
    for (_, each), number in outcomes.items():
        totals[each] += number
    print(f"{totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped")
    return 1 if complaints or totals["failed"] else 0


def outcome(case: ElementTree.Element) -> str:
    """What became of a test: passed, failed or skipped."""
    if any(case.find(problem) is not None for problem in PROBLEMS):
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def suites() -> list[str]:
    """The folders below tests/ that hold tests, as the reports name them."""
    tracked = subprocess.run(["git", "ls-files", "tests/*/test_*.py"], check=True, capture_output=True, text=True)
    return sorted({".".join(Path(line).parts[:2]) for line in tracked.stdout.splitlines()})


if __name__ == "__main__":
    sys.exit(main())
