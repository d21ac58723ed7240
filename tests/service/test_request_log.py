"""The log of requests: whole lines, of the level that was asked for, in bounded memory."""

import io
import json
import threading

import pytest

from dkmeans.service import request_log
from dkmeans.service.request_log import RequestLog
from dkmeans.storage.json_lines import JsonLines


@pytest.mark.parametrize(
    ("level", "expected"), [("requests", [200, 404]), ("errors", [404]), ("off", [])]
)
def test_requests_are_logged_by_level(level, expected):
    out = io.StringIO()
    log = RequestLog(JsonLines(out), level)
    log.start()
    log.answered(200, path="/predict", rows=None)
    log.answered(404, path="other", error="not_found\n")
    log.stop()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["status"] for line in lines] == expected
    assert all("rows" not in line and line["event"] == "request" for line in lines)


def test_a_reader_that_is_slow_keeps_nobody_waiting_and_loses_the_oldest(monkeypatch):
    monkeypatch.setattr(request_log, "_MOST_WAITING", 10)
    opened = threading.Event()

    class Slow(io.StringIO):
        def write(self, text):
            assert opened.wait(10)
            return super().write(text)

    out = Slow()
    log = RequestLog(JsonLines(out))
    for i in range(25):
        log.answered(200, number=i)
    log.start()
    opened.set()
    log.stop()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["number"] for line in lines[:-1]] == list(range(15, 25))
    assert (lines[-1]["event"], lines[-1]["number"]) == ("lines lost", 15)
