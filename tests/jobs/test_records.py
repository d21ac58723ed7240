"""Records of attempts: written when they begin and end, whole at any moment, and none forgotten."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import dkmeans
from dkmeans.errors import (
    ArgumentError,
    BudgetSpent,
    DriftFound,
    GateRefused,
    InputRefused,
    MissingInput,
    StoreUnreachable,
)
from dkmeans.jobs import records
from dkmeans.jobs.attempt import Attempt, recorded
from dkmeans.jobs.process import Process
from dkmeans.jobs.run_record import SILENT_SECONDS, RunRecord
from dkmeans.storage.requests import request
from tests.cli.command import run
from tests.conftest import wait_until, write_parquet

JOB = {"job": "nightly", "task": "retrain"}


def only(url: object, run_id: str = "r1") -> RunRecord:
    (record,) = records.attempts(str(url), run_id)
    return record


def test_a_record_is_there_from_the_beginning_and_says_how_it_ended(tmp_path):
    with recorded(str(tmp_path), run_id="r1", **JOB) as attempt:
        before = only(tmp_path)
        assert (before.outcome, before.ended, before.exit_code) == ("running", None, None)
        attempt.add(model_version=17, figures={"churn": 0.1}, verdict={"passed": True})
    after = only(tmp_path)
    assert (after.outcome, after.exit_code, after.error) == ("done", 0, None)
    assert (after.job, after.task, after.model_version) == ("nightly", "retrain", 17)
    assert after.figures == {"churn": 0.1}
    assert after.attempt == before.attempt
    assert before.started <= after.started <= (after.ended or "")
    assert after.versions["dkmeans"] == dkmeans.__version__
    assert after.process["pid"] == os.getpid()
    # one file, and nothing else
    (file,) = (one for one in tmp_path.rglob("*") if one.is_file())
    assert file == tmp_path / "runs" / "r1" / f"{after.attempt}.json"
    assert json.loads(file.read_text())["kind"] == "dkmeans run"


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (GateRefused("the gate refuses it."), "refused", 5),
        (DriftFound("the rows differ."), "drift", 6),
        (BudgetSpent("max_passes=3 are made."), "stopped", 7),
        (InputRefused("the rows are bad."), "failed", 3),
        (ZeroDivisionError("division by zero"), "failed", 1),
        (KeyboardInterrupt(), "stopped", 130),
        (SystemExit(143), "stopped", 143),
        (SystemExit(4), "done", 4),
        (SystemExit(5), "refused", 5),
        (SystemExit("why"), "failed", 1),
        (SystemExit(), "done", 0),
    ],
)
def test_the_outcome_and_exit_code_of_whatever_ends_it(tmp_path, error, outcome, code):
    with pytest.raises(type(error)), recorded(str(tmp_path), run_id="r1", **JOB):
        raise error
    record = only(tmp_path)
    assert (record.outcome, record.exit_code) == (outcome, code)
    assert record.ended is not None
    if outcome == "done":
        assert record.error is None
    else:
        assert record.error_kind == type(error).__name__
        assert record.error
        assert "\n" not in record.error


def test_an_outcome_that_the_job_names_stays(tmp_path):
    with recorded(str(tmp_path), run_id="r1", **JOB) as attempt:
        attempt.add(outcome="refused", exit_code=5)
    assert (only(tmp_path).outcome, only(tmp_path).exit_code) == ("refused", 5)


def test_passes_rows_bytes_and_seconds_are_counted(tmp_path, blobs):
    folder = write_parquet(tmp_path / "in", blobs[0])
    with recorded(str(tmp_path), run_id="r1", **JOB):
        rows = dkmeans.read_parquet(str(folder), block_rows=700)
        assert rows.n_blocks > 1
        estimator = dkmeans.KMeans(3, init="random", random_state=0, max_iter=4).fit(rows)
    record = only(tmp_path)
    assert record.passes == estimator.n_passes_ == rows.n_passes > 2
    assert record.rows == sum(one["rows_read"] for one in estimator.history_)
    assert record.rows >= record.passes * 5000
    assert record.bytes == sum(one["bytes_read"] for one in estimator.history_)
    assert 0.5 * rows.bytes_read < record.bytes <= rows.bytes_read
    assert 0 < record.seconds < 300


def test_retries_of_requests_are_counted(tmp_path, monkeypatch):
    from fsspec.implementations.memory import MemoryFileSystem

    monkeypatch.setattr("dkmeans.storage.requests._FIRST_WAIT_SECONDS", 0.001)
    failures = iter([ConnectionResetError("reset"), ConnectionResetError("reset")])

    def look(fs: MemoryFileSystem, path: str) -> str:
        for failure in failures:
            raise failure
        return "answered"

    with recorded(str(tmp_path), run_id="r1", **JOB):
        assert request("memory://lake/x", "", look, has_answered=True) == "answered"
    assert only(tmp_path).retries == 2


def test_attempts_of_a_run_are_listed_in_order_beside_each_other(tmp_path):
    for _ in range(3):
        with pytest.raises(ValueError, match="no"), recorded(str(tmp_path), run_id="r1", **JOB):
            raise ValueError("no")
    with recorded(str(tmp_path), run_id="r1", **JOB):
        found = records.attempts(str(tmp_path), "r1")
    assert [one.outcome for one in found] == ["failed"] * 3 + ["running"]
    assert [one.attempt for one in found] == sorted({one.attempt for one in found})


def test_many_writers_of_one_run_have_a_record_each(tmp_path):
    def act(number: int) -> None:
        with recorded(str(tmp_path), run_id="r1", **JOB) as attempt:
            attempt.add(model_version=number)

    threads = [threading.Thread(target=act, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = records.attempts(str(tmp_path), "r1")
    assert sorted(one.model_version or 0 for one in found) == list(range(8))


KILLED = """
    import sys, time
    from dkmeans.jobs.attempt import recorded
    from dkmeans.rows.progress import reporter

    url, beat = sys.argv[1], float(sys.argv[2])
    with recorded(url, job="nightly", task="retrain", run_id="r1", beat_seconds=beat):
        reporter().ended({"kind": "one", "rows_read": 70, "bytes_read": 7, "seconds": 1.0})
        print("begun", flush=True)
        time.sleep(60)
"""


def begun(url: object, beat_seconds: float = 60.0) -> subprocess.Popen:
    """A process that keeps a record, and has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(url), str(beat_seconds)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def test_a_process_that_is_killed_is_shown_as_lost_with_what_it_had_done(tmp_path):
    process = begun(tmp_path, beat_seconds=0.05)
    assert process.stdout is not None
    try:
        wait_until(lambda: only(tmp_path).passes, process)
        alive = only(tmp_path)
        assert (alive.outcome, alive.passes, alive.rows) == ("running", 1, 70)
        assert alive.seen > alive.started
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        process.stdout.close()
    lost = only(tmp_path)
    assert (lost.outcome, lost.exit_code, lost.ended) == ("lost", None, None)
    assert (lost.passes, lost.rows, lost.bytes) == (1, 70, 7)
    shown = run("runs", "show", tmp_path, "r1", "--json").json
    assert [one["outcome"] for one in shown["attempts"]] == ["lost"]
    # the next attempt is not confused by what lies there
    with recorded(str(tmp_path), run_id="r1", **JOB):
        pass
    assert [one.outcome for one in records.attempts(str(tmp_path), "r1")] == ["lost", "done"]


def test_a_process_that_is_terminated_ends_its_record(tmp_path):
    code = KILLED.replace(
        "    import sys, time\n",
        "    import signal, sys, time\n    signal.signal(15, lambda *_: sys.exit(143))\n",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), "60"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 143
    process.stdout.close()
    assert (only(tmp_path).outcome, only(tmp_path).exit_code) == ("stopped", 143)


def elsewhere(url: object, **entries: object) -> RunRecord:
    """A record that a process on another machine has begun."""
    begun = records.begin(str(url), run_id="r1", **JOB)
    there = replace(begun, process={**begun.process, "host": "another"}, **entries)
    records.write(there, str(url))
    return there


def test_what_runs_elsewhere_is_lost_once_it_has_been_silent_for_long(tmp_path):
    there = elsewhere(tmp_path)
    assert only(tmp_path).outcome == "running"
    now = datetime.now(UTC)
    assert there.settled(now + timedelta(seconds=SILENT_SECONDS - 60)).outcome == "running"
    assert there.settled(now + timedelta(seconds=SILENT_SECONDS + 60)).outcome == "lost"
    assert replace(there, seen="whenever").settled().outcome == "lost"


def test_another_process_of_the_same_number_is_not_taken_for_it():
    this = Process.this()
    assert this.lives() is True
    assert replace(this, created=this.created - 1000).lives() is False
    assert replace(this, pid=2**22 + 1).lives() is False
    # another container of the same name, or a boot before
    assert replace(this, machine="another").lives() is None
    assert Process.from_dict(asdict(this)) == this
    assert Process.from_dict({"pid": "many"}) is None
    assert Process.from_dict(None) is None


def test_a_sign_of_life_that_arrives_late_does_not_undo_the_end(tmp_path):
    with recorded(str(tmp_path), run_id="r1", **JOB) as attempt:
        attempt.beat()
        late = attempt.record
    records.write(late, str(tmp_path), is_beat=True)
    assert (only(tmp_path).outcome, only(tmp_path).exit_code) == ("done", 0)


def test_an_attempt_that_ends_while_it_is_read_is_not_shown_as_running(tmp_path, monkeypatch):
    read_bytes, looked = records.read_bytes, []
    with recorded(str(tmp_path), run_id="r1", **JOB) as attempt:
        attempt.beat()

        def read(url: str, options: str) -> bytes:
            data = read_bytes(url, options)
            looked.append(url.endswith(".beat.json"))
            if looked[-1]:
                attempt.end(None)
            return data

        monkeypatch.setattr(records, "read_bytes", read)
        assert only(tmp_path).outcome == "done"
    assert looked == [False, True, False]


def test_a_record_that_cannot_be_ended_hides_no_error_and_fails_no_job(
    tmp_path, monkeypatch, capsys
):
    def fail(*_: object) -> None:
        raise StoreUnreachable("the store failed: secret_key=canary-of-the-store")

    for error in (None, GateRefused("the gate refuses it.")):
        with dkmeans.reporting(), monkeypatch.context() as patch:
            raised = None
            try:
                with recorded(str(tmp_path), run_id="r1", **JOB):
                    patch.setattr(Attempt, "end", fail)
                    if error is not None:
                        raise error
            except GateRefused as found:
                raised = found
            assert raised is error
        said = capsys.readouterr().err
        assert "the record of this run could not be ended: the store failed" in said
        assert "canary" not in said


def test_a_place_that_cannot_be_written_is_told_before_the_job_begins(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreUnreachable), recorded(str(tmp_path / "file"), run_id="r", **JOB):
        pytest.fail("the job has begun")


def test_errors_are_recorded_without_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_TOKEN", "canary-of-the-environment")
    said = (
        "no access to s3://user:canary-password@host/x?X-Amz-Signature=canary-signature "
        "with canary-of-the-options\nand canary-of-the-environment, password=canary-assigned "
        "Authorization: Bearer canary-of-the-header"
    )
    options = {"key": "canary-key", "client_kwargs": {"secret": "canary-of-the-options"}}

    def act() -> None:
        with recorded(f"file://{tmp_path}", run_id="r1", storage_options=options, **JOB) as attempt:
            attempt.add(extra={"note": "canary-of-the-options", "password": "canary-named"})
            raise RuntimeError(said)

    with pytest.raises(RuntimeError):
        act()
    files = [one.read_text() for one in tmp_path.rglob("*.json")]
    assert len(files) == 1
    assert "no access to s3://" in files[0]
    assert "canary" not in files[0]


@pytest.mark.parametrize("run_id", ["", "../r1", "a/b", ".hidden", "a b", "x" * 129, "ü", 7, None])
def test_run_ids_are_names_and_never_paths(tmp_path, run_id):
    with (
        pytest.raises(ArgumentError, match="run id"),
        recorded(str(tmp_path), run_id=run_id, **JOB),
    ):
        pytest.fail("the job has begun")
    with pytest.raises(ArgumentError, match="run id"):
        records.attempts(str(tmp_path), run_id)
    assert not list(tmp_path.iterdir())


def test_run_ids_made_for_jobs_are_run_ids():
    for job in ("nightly", "größe / of: everything", "", "x" * 300, "../../etc"):
        first, second = records.new_run_id(job), records.new_run_id(job)
        assert first != second
        assert records.check_run_id(first) == first


def damaged(text: str, **entries: object) -> str:
    return json.dumps({**json.loads(text), **entries})


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda text: text[:-20], "is damaged: it is not JSON"),
        (lambda text: "[" * 100_000, "is damaged: it is not JSON"),
        (lambda text: "[1]", "is no record of a run"),
        (lambda text: damaged(text, kind="model"), "is no record of a run"),
        (lambda text: damaged(text, format=99), "has format 99"),
        (lambda text: damaged(text, run_id="r2"), "its entries are others"),
        (lambda text: damaged(text, surprise=1), "its entries are others"),
        (lambda text: damaged(text, seconds="long"), "an entry is of another type"),
        (lambda text: damaged(text, verdict=[1]), "an entry is of another type"),
        (lambda text: damaged(text, error={"a": 1}), "an entry is of another type"),
    ],
)
def test_damaged_records_are_refused_by_name_and_do_not_hide_the_others(tmp_path, spoil, match):
    with recorded(str(tmp_path), run_id="r1", **JOB):
        pass
    (file,) = tmp_path.rglob("*.json")
    file.write_text(spoil(file.read_text()))
    with pytest.raises(InputRefused, match=match) as caught:
        records.attempts(str(tmp_path), "r1")
    assert file.name in str(caught.value)
    with recorded(str(tmp_path), run_id="r2", **JOB):
        pass
    ran = run("runs", "list", tmp_path, "--json")
    assert [one["run_id"] for one in ran.json["runs"]] == ["r2"]
    assert "dkmeans: warning: " in ran.err


def test_what_a_killed_writer_has_left_is_no_record(tmp_path):
    with recorded(str(tmp_path), run_id="r1", **JOB):
        pass
    folder = tmp_path / "runs" / "r1"
    (folder / f".{only(tmp_path).attempt}.json.{'0' * 32}.part").write_text("{")
    (folder / "notes.txt").write_text("mine")
    assert len(records.attempts(str(tmp_path), "r1")) == 1
    assert len(records.latest(str(tmp_path), 9)[0]) == 1


def test_a_run_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingInput, match="no run 'r9'"):
        records.attempts(str(tmp_path), "r9")


def test_records_on_s3(bucket, s3):
    url = f"{bucket}/registry"

    def act() -> None:
        with recorded(url, run_id="r1", storage_options=s3, **JOB) as attempt:
            attempt.beat()
            raise GateRefused("the gate refuses it.")

    with pytest.raises(GateRefused):
        act()
    with recorded(url, run_id="r2", storage_options=s3, **JOB):
        pass
    options = [
        f"--storage-option=key={s3['key']}",
        f"--storage-option=secret={s3['secret']}",
        f"--storage-option=client_kwargs.endpoint_url={s3['client_kwargs']['endpoint_url']}",
        f"--storage-option=client_kwargs.region_name={s3['client_kwargs']['region_name']}",
    ]
    found = run("runs", "list", url, "--json", *options).json["runs"]
    assert [(one["run_id"], one["outcome"]) for one in found] == [("r1", "refused"), ("r2", "done")]
    import s3fs

    fs = s3fs.S3FileSystem(**s3)
    fs.invalidate_cache()
    names = fs.find(url)
    assert len(names) == 2
    assert not [name for name in names if s3["secret"].encode() in fs.cat_file(name)]


def test_what_was_measured_survives_whatever_it_is(tmp_path):
    with recorded(str(tmp_path), run_id="r1", **JOB) as attempt:
        attempt.add(
            figures={"a": np.float64(1.5), "b": float("inf"), "c": np.int64(3)},
            drift={"psi": float("nan"), "when": datetime(2026, 11, 22, tzinfo=UTC)},
        )
    record = only(tmp_path)
    assert record.figures == {"a": 1.5, "b": None, "c": 3}
    assert record.drift == {"psi": None, "when": "2026-11-22T00:00:00+00:00"}
