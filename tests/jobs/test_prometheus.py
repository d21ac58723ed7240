"""The textfile: what Prometheus' own parser reads in it."""

import os
import stat
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from dkmeans.errors import ArgumentError
from dkmeans.jobs.figures import Figures
from dkmeans.jobs.gates import judge
from dkmeans.jobs.prometheus import as_text, write_textfile
from dkmeans.jobs.rules import Rule
from dkmeans.jobs.run_record import RunRecord

FIGURES = Figures(churn=0.4, drift=0.25, spread_change=float("inf"), n_rows=1e6, bad_files=0.0)
RULES = [Rule("churn", max=0.25), Rule("rows", min=0.95), Rule("bad_files", max=0.0)]
RECORD = RunRecord(
    run_id="nightly-1",
    attempt="a",
    job="nightly",
    task="retrain",
    started="2026-11-22T01:00:00.000Z",
    seen="2026-11-22T01:30:00.000Z",
    ended="2026-11-22T01:30:00.000Z",
    outcome="refused",
    exit_code=5,
    passes=7,
    rows=7_000_000_000_001,
    bytes=123,
    seconds=1800.25,
    retries=2,
    figures=FIGURES.to_dict(),
    verdict=judge(RULES, FIGURES, Figures()).to_dict(),
)
DONE = replace(RECORD, outcome="done", exit_code=0, model_version=17)


def parsed(text: str) -> dict[tuple[str, frozenset], float]:
    """Every sample by name and labels."""
    families = list(text_string_to_metric_families(text))
    assert all(family.type == "gauge" and family.documentation for family in families)
    assert all(family.name.startswith("dkmeans_") for family in families)
    assert len({family.name for family in families}) == len(families)
    samples = [sample for family in families for sample in family.samples]
    # the collector refuses times
    assert all(sample.timestamp is None for sample in samples)
    found = {(one.name, frozenset(one.labels.items())): one.value for one in samples}
    assert len(found) == len(samples)
    return found


def value(found: dict, name: str, **labels: str) -> float:
    of_job = {"job_name": "nightly", "task": "retrain"}
    return found[name, frozenset({**of_job, **labels}.items())]


def test_all_that_a_run_cost_and_found_is_a_sample():
    found = parsed(as_text(RECORD, last_success=1.5e9))
    assert value(found, "dkmeans_run_rows") == 7_000_000_000_001
    assert value(found, "dkmeans_run_passes") == 7
    assert value(found, "dkmeans_run_duration_seconds") == 1800.25
    assert value(found, "dkmeans_run_read_bytes") == 123
    assert value(found, "dkmeans_run_retries") == 2
    assert value(found, "dkmeans_run_success") == 0
    assert value(found, "dkmeans_run_exit_code") == 5
    assert value(found, "dkmeans_run_info", run_id="nightly-1", outcome="refused") == 1
    assert value(found, "dkmeans_run_end_timestamp_seconds") == 1795311000
    assert value(found, "dkmeans_last_success_timestamp_seconds") == 1.5e9
    assert value(found, "dkmeans_drift") == 0.25
    assert value(found, "dkmeans_figure", metric="churn") == 0.4
    assert value(found, "dkmeans_figure", metric="spread_change") == float("inf")
    assert value(found, "dkmeans_gate_passed") == 0
    assert value(found, "dkmeans_gate_limit", metric="churn", kind="max") == 0.25
    assert value(found, "dkmeans_gate_limit_passed", metric="churn", kind="max") == 0
    assert value(found, "dkmeans_gate_limit_passed", metric="bad_files", kind="max") == 1


def test_a_run_without_gate_has_no_samples_of_one():
    found = parsed(as_text(replace(DONE, verdict=None, figures={})))
    assert not [name for name, _ in found if "gate" in name or "figure" in name or "drift" in name]
    assert value(found, "dkmeans_last_success_timestamp_seconds") == 1795311000
    assert value(found, "dkmeans_model_version") == 17


def test_the_last_success_survives_runs_that_fail(tmp_path):
    later = replace(RECORD, ended="2026-11-23T01:30:00.000Z")
    name = "dkmeans_last_success_timestamp_seconds"
    place = write_textfile(later, tmp_path)
    assert not [one for one, _ in parsed(place.read_text()) if one == name]
    write_textfile(DONE, tmp_path)
    for _ in range(2):
        assert write_textfile(later, tmp_path) == place
        assert value(parsed(place.read_text()), name) == 1795311000
    # of another job that was given the same file it says nothing
    other = write_textfile(replace(later, job="weekly"), place)
    assert not [one for one, _ in parsed(other.read_text()) if one == name]


def test_each_job_has_a_file_that_the_collector_reads(tmp_path):
    names = ["nightly", "a b", "a.b", "a/b", "../../etc/passwd", "größe", 'a"b']
    places = [write_textfile(replace(RECORD, job=name), tmp_path) for name in names]
    assert len(set(places)) == len(names)
    assert sorted(tmp_path.iterdir()) == sorted(places)
    for place in places:
        assert place.suffix == ".prom"
        # another user's process reads it
        assert stat.S_IMODE(place.stat().st_mode) == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_other_places_are_refused(tmp_path):
    for place in (tmp_path / "metrics.txt", tmp_path / "nowhere" / "x.prom"):
        with pytest.raises(ArgumentError, match=r"should be a folder that exists, or a file"):
            write_textfile(RECORD, place)


def test_readers_see_whole_files_only(tmp_path):
    place, over, broken = write_textfile(DONE, tmp_path), threading.Event(), []
    whole = {as_text(DONE), as_text(RECORD, 1795311000.0)}

    def read() -> None:
        while not over.is_set():
            if (text := place.read_text()) not in whole:
                broken.append(text)

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(30):
        write_textfile(RECORD, tmp_path)
        write_textfile(DONE, tmp_path)
    over.set()
    reader.join()
    assert broken == []


@settings(max_examples=50)
@given(job=st.text(), run_id=st.text())
def test_labels_of_any_text_are_escaped(job, run_id):
    short = replace(RECORD, verdict=None, figures={})
    found = parsed(as_text(replace(short, job=job, run_id=run_id)))
    assert len(found) == len(parsed(as_text(short)))
    (labels,) = (dict(labels) for name, labels in found if name == "dkmeans_run_info")
    plain = "".join(chr(c) for c in range(32, 127)) + "\n"
    if all(c in plain for c in job + run_id):
        assert (labels["job_name"], labels["run_id"]) == (job, run_id)


def test_a_label_cannot_add_a_line():
    evil = 'x"} 1\ndkmeans_evil{a="b\\'
    found = parsed(as_text(replace(RECORD, job=evil)))
    assert not [name for name, _ in found if name == "dkmeans_evil"]
    assert all(dict(labels)["job_name"] == evil for _, labels in found)
