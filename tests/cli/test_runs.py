"""`dkmeans runs`: what became of runs, for people and for programs."""

from dataclasses import replace

import pytest

from dkmeans.errors import GateRefused
from dkmeans.jobs import records
from dkmeans.jobs.attempt import recorded
from dkmeans.jobs.figures import Figures
from dkmeans.jobs.gates import judge
from dkmeans.jobs.rules import Rule
from tests.cli.command import run


@pytest.fixture
def url(tmp_path) -> str:
    """Three runs: one that is done, one that a gate has refused, of another job one that failed."""
    place = str(tmp_path / "registry")
    with recorded(place, job="nightly", task="retrain", run_id="r1") as attempt:
        attempt.add(model_version=4, champion_version=3)
    figures, champion = Figures(churn=0.4), Figures()
    verdict = judge([Rule("churn", max=0.2)], figures, champion)
    told = {"target": "command mail", "ok": False, "attempts": 1, "reason": "no such program"}

    def refused() -> None:
        with recorded(place, job="nightly", task="retrain", run_id="r2") as attempt:
            attempt.add(figures=figures.to_dict(), verdict=verdict.to_dict())
            attempt.notified(told)
            raise GateRefused("the gate refuses the challenger: " + "; ".join(verdict.reasons))

    with pytest.raises(GateRefused):
        refused()
    with (
        pytest.raises(ZeroDivisionError),
        recorded(place, job="weekly", task="predict", run_id="r3"),
    ):
        raise ZeroDivisionError("division\nby zero \x1b[31m")
    return place


def test_runs_are_listed_the_latest_last(url):
    found = run("runs", "list", url, "--json").json["runs"]
    assert [one["run_id"] for one in found] == ["r1", "r2", "r3"]
    assert [one["exit_code"] for one in found] == [0, 5, 1]
    lines = run("runs", "list", url).out.splitlines()
    rows = [line for line in lines if line.startswith("r")]
    assert [line.split()[:3] for line in rows] == [
        ["r1", "nightly", "retrain"],
        ["r2", "nightly", "retrain"],
        ["r3", "weekly", "predict"],
    ]
    assert "done (0)" in rows[0]
    assert "refused (5)" in rows[1]
    assert "failed (1)" in rows[2]


def test_only_the_latest_or_those_of_a_job_are_listed_on_demand(url):
    found = run("runs", "list", url, "--json", "--last", 1).json["runs"]
    assert [one["run_id"] for one in found] == ["r3"]
    assert "These are the latest 1" in run("runs", "list", url, "--last", 1).out
    found = run("runs", "list", url, "--json", "--last", 1, "--job", "nightly").json["runs"]
    assert [one["run_id"] for one in found] == ["r2"]


def test_a_run_is_shown_with_what_the_gate_said_and_who_was_told(url):
    ran = run("runs", "show", url, "r2")
    assert ran.code == 0
    for text in (
        "refused (5)",
        "churn 40.0% is above its max of 20.0%.",
        "Gate: refused",
        "command mail: failed: no such program (1 attempts)",
        "Error: the gate refuses the challenger",
    ):
        assert text in ran.out
    shown = run("runs", "show", url, "r2", "--json").json
    assert shown["run_id"] == "r2"
    assert shown["attempts"][0]["figures"] == {"churn": 0.4}
    assert "\x1b" not in run("runs", "show", url, "r3").out + run("runs", "list", url).out


def test_control_characters_of_a_record_do_not_reach_the_terminal(url):
    (record,) = records.attempts(url, "r1")
    spoiled = replace(
        record,
        job="a\x1b[2J",
        outcome="\x1b[1mdone",
        started="\x1b]0;x\x07",
        error="\x1b[31m",
        figures={"\x1b[5m": "\x1b[6m"},
        versions={"\x1b[7m": "\x1b[8m"},
        process={**record.process, "host": "\x1b[9m"},
        notifications=({"target": "\x1b[3m"},),
        verdict={"judgments": [{"reason": "\x1b[4m"}]},
    )
    records.write(spoiled, url)
    for arguments in (("show", url, "r1"), ("list", url)):
        ran = run("runs", *arguments)
        assert ran.code == 0
        assert "\x1b" not in ran.out + ran.err
        assert "\x07" not in ran.out + ran.err


def test_nothing_there_and_no_such_run(url, tmp_path):
    ran = run("runs", "list", tmp_path / "empty")
    assert (ran.code, ran.out) == (0, f"no runs at {tmp_path / 'empty'}\n")
    ran = run("runs", "show", url, "r9")
    assert ran.code == 3
    assert ran.error.startswith("no run 'r9' at ")
    assert run("runs", "show", url, "../r1").code == 2
