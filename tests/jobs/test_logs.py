"""JSON logs: a line for each event, with the run's id, and nothing that must not be kept."""

import io
import json
import logging
import threading
from datetime import datetime

import numpy as np
import pytest

import dkmeans
from dkmeans.errors import ArgumentError, GateRefused
from dkmeans.jobs.logs import json_logs
from dkmeans.rows.progress import Lines, Silent, listening, reporter
from dkmeans.storage.filesystem import remember
from dkmeans.storage.requests import request
from tests.conftest import write_parquet


def lines_of(text: str) -> list[dict]:
    assert text.endswith("\n")
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        assert list(line)[:3] == ["time", "run_id", "event"]
        assert line["run_id"] == "r1"
        assert datetime.fromisoformat(line["time"]).utcoffset().total_seconds() == 0
    return found


def test_every_pass_of_a_fit_is_an_event_with_its_cost(tmp_path, blobs):
    folder = write_parquet(tmp_path / "in", blobs[0])
    out = io.StringIO()
    with json_logs("r1", out):
        rows = dkmeans.read_parquet(str(folder), block_rows=700)
        assert rows.n_blocks > 1
        estimator = dkmeans.KMeans(3, init="random", random_state=0, max_iter=4).fit(rows)
    found = lines_of(out.getvalue())
    assert (found[0]["event"], found[-1]["event"]) == ("run began", "run ended")
    ended = [line for line in found if line["event"] == "pass ended"]
    assert len(ended) == estimator.n_passes_
    history = [one for one in estimator.history_ if one["inertia"] is not None]
    told = {line["kind"]: line for line in ended}
    for one in history:
        assert told[one["kind"]]["inertia"] == one["inertia"]
        assert told[one["kind"]]["rows_read"] == one["rows_read"]
    began = [line for line in found if line["event"] == "pass began"]
    assert len(began) >= len(ended)
    assert all(line["n_leaves"] >= 1 for line in began)
    # nothing of the rows: no center, no value
    assert not [line for line in found if "centers" in line]


def test_logs_go_beside_what_is_shown_and_end_with_their_context():
    shown, first, second = io.StringIO(), io.StringIO(), io.StringIO()
    with json_logs("r1", first), dkmeans.reporting(shown), json_logs("r1", second):
        reporter().note("stage: memory")
    reporter().note("unheard")
    assert isinstance(reporter(), Silent)
    assert shown.getvalue() == "stage: memory\n"
    for out in (first, second):
        (note,) = (line for line in lines_of(out.getvalue()) if line["event"] == "note")
        assert note["text"] == "stage: memory"


def test_listeners_hear_what_is_shown_whatever_the_order():
    out, heard = io.StringIO(), io.StringIO()
    record = {"kind": "iteration 1", "seconds": 1.0, "bytes_read": 0}
    with dkmeans.reporting(out), listening(Lines(heard)):
        reporter().began("iteration 1", 3)
        reporter().leaf_done()
        reporter().ended(record)
    assert out.getvalue() == heard.getvalue()
    assert "iteration 1" in heard.getvalue()


def test_a_failure_is_the_last_event_and_still_raised():
    out = io.StringIO()
    with pytest.raises(GateRefused), json_logs("r1", out):
        raise GateRefused("the gate refuses\nthe challenger.")
    last = lines_of(out.getvalue())[-1]
    assert (last["event"], last["kind"]) == ("run failed", "GateRefused")
    assert last["error"] == "the gate refuses the challenger."


def test_retries_of_stores_are_events_and_loggers_are_left_as_they_were(monkeypatch):
    monkeypatch.setattr("dkmeans.storage.requests._FIRST_WAIT_SECONDS", 0.001)
    logger = logging.getLogger("dkmeans")
    before = (logger.level, list(logger.handlers))
    failures = iter([ConnectionResetError("reset")])

    def look(*_: object) -> None:
        for failure in failures:
            raise failure

    out = io.StringIO()
    with json_logs("r1", out):
        request("memory://user:canary-password@lake/x", "", look, has_answered=True)
    assert (logger.level, list(logger.handlers)) == before
    (retry,) = (line for line in lines_of(out.getvalue()) if line["event"] == "log")
    assert retry["logger"] == "dkmeans.storage.requests"
    assert "ConnectionResetError" in retry["text"]
    assert "canary" not in out.getvalue()


def test_no_event_holds_a_secret_breaks_its_line_or_passes_for_another(monkeypatch):
    monkeypatch.setenv("SOME_SECRET", "canary-of-the-environment")
    remember({"token": "canary-of-the-options"})
    out = io.StringIO()
    with json_logs("r1", out) as log:
        log.event(
            "published",
            text="canary-of-the-options,\ncanary-of-the-environment\u2028",
            password="canary-named",
            nested={"token": "canary-nested", "list": ["s3://a:canary-url@b/c?sig=canary-query"]},
            run_id="another",
            time="never",
            event="another",
        )
    text = out.getvalue()
    assert "canary" not in text
    assert len(lines_of(text)) == 3
    assert text.isascii()
    assert lines_of(text)[1]["event"] == "published"


def test_values_of_any_kind_are_strict_json_and_long_texts_are_cut():
    out = io.StringIO()
    with json_logs("r1", out) as log:
        log.event(
            "one", a=float("nan"), b=np.float32(0.5), c=np.arange(3), d={1: None}, e="x" * 9999
        )
    line = json.loads(out.getvalue().splitlines()[1], parse_constant=pytest.fail)
    assert (line["a"], line["b"], line["c"], line["d"]) == (None, 0.5, [0, 1, 2], {"1": None})
    assert len(line["e"]) < 2100


def test_lines_of_many_threads_are_whole_and_a_file_is_appended_to(tmp_path):
    path = tmp_path / "log.jsonl"
    for _ in range(2):
        with json_logs("r1", path) as log:

            def act(log=log) -> None:
                for number in range(100):
                    log.event("one", number=number, text="x" * 500)

            threads = [threading.Thread(target=act) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    found = lines_of(path.read_text())
    assert len(found) == 2 * (400 + 2)


def test_a_log_that_can_no_longer_be_written_does_not_end_the_job(capsys):
    out = io.StringIO()
    with json_logs("r1", out) as log:
        out.close()
        log.event("lost")
        log.event("lost, too")
    said = capsys.readouterr().err
    assert said.count("dkmeans: warning: the log cannot be written") == 1


def test_a_log_that_cannot_be_opened_is_refused_by_name(tmp_path):
    with (
        pytest.raises(ArgumentError, match=r"the log .*nowhere/log\.jsonl cannot be written"),
        json_logs("r1", tmp_path / "nowhere" / "log.jsonl"),
    ):
        pytest.fail("it was opened")
