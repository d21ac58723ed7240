"""Show at the end of a run what scikit-learn's checks said of each estimator."""

from collections import defaultdict

import pytest

CHECKS = "test_contract.py::test_scikit_learns_checks["
OUTCOMES = {
    "passed": "passed",
    "xfailed": "failed as expected",
    "failed": "failed",
    "skipped": "skipped",
}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(OUTCOMES, 0))
    notes: dict[str, list[str]] = defaultdict(list)
    for outcome, words in OUTCOMES.items():
        for report in terminalreporter.stats.get(outcome, []):
            _, checked, which = report.nodeid.partition(CHECKS)
            if not checked:
                continue
            estimator, _, check = which.removesuffix("]").partition("-check_")
            counts[estimator][outcome] += 1
            if outcome != "passed":
                reason = getattr(report, "wasxfail", "see above")
                notes[estimator].append(f"check_{check} {words}: {reason}")
    if counts:
        terminalreporter.section("scikit-learn's checks of estimators")
    for estimator, of_outcome in counts.items():
        said = ", ".join(f"{of_outcome[outcome]} {words}" for outcome, words in OUTCOMES.items())
        terminalreporter.line(f"{estimator}: {said}")
        for note in notes[estimator]:
            terminalreporter.line(f"    {note}")
