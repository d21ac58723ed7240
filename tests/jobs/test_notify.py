"""Notifications: taken where they can be, never in the way, and nothing secret in what is kept."""

import json
import os
import shutil
import stat
import sys
import textwrap
import threading
import time
from dataclasses import replace

import pytest

from dkmeans.errors import ArgumentError, GateRefused
from dkmeans.jobs import records, webhooks
from dkmeans.jobs.attempt import recorded
from dkmeans.jobs.figures import Figures
from dkmeans.jobs.gates import judge
from dkmeans.jobs.notify import Command, Webhook, message, notify, tell, wants
from dkmeans.jobs.prometheus import write_textfile
from dkmeans.jobs.rules import Rule
from dkmeans.jobs.run_record import RunRecord
from tests.conftest import free_port, wait_until
from tests.jobs.hooks import hooks

FIGURES = Figures(churn=0.4)
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
    figures=FIGURES.to_dict(),
    verdict=judge([Rule("churn", max=0.2)], FIGURES, Figures()).to_dict(),
    error="the gate refuses the challenger: churn 40.0% is above its max of 20.0%.",
)


@pytest.fixture
def server():
    with hooks() as found:
        yield found


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(webhooks, "_FIRST_WAIT_SECONDS", 0.01)


def told(target):
    """What became of one notification, and the seconds that it took."""
    start = time.monotonic()
    (found,) = notify([target], RECORD)
    return found, time.monotonic() - start


def test_a_webhook_gets_json_of_how_the_run_ended_and_why(server):
    found, _ = told(Webhook(server.url("/hook")))
    assert (found.ok, found.attempts, found.reason) == (True, 1, None)
    ((method, path, headers, body),) = server.seen
    assert (method, path) == ("POST", "/hook")
    assert headers["Content-Type"] == "application/json"
    assert body == message(RECORD)
    assert body["outcome"] == "refused"
    assert body["exit_code"] == 5
    assert body["reasons"] == ["churn 40.0% is above its max of 20.0%."]
    assert body["figures"] == {"churn": 0.4}
    assert body["text"].startswith("dkmeans: retrain nightly: refused. the gate refuses")
    assert body["id"] == "nightly-1/a"


def test_a_webhook_that_fails_for_a_while_is_tried_again_a_few_times(server):
    server.failures_left = 2
    found, _ = told(Webhook(server.url("/flaky")))
    assert (found.ok, found.attempts) == (True, 3)
    assert len({body["id"] for *_, body in server.seen}) == 1
    server.failures_left = 99
    found, _ = told(Webhook(server.url("/flaky"), attempts=4))
    assert (found.ok, found.attempts) == (False, 4)
    assert found.reason == "the server refuses (HTTP 503)."


@pytest.mark.parametrize(("path", "code"), [("/forbidden", 403), ("/gone", 404)])
def test_a_webhook_that_refuses_for_good_is_not_tried_again(server, path, code):
    found, _ = told(Webhook(server.url(path)))
    assert (found.ok, found.attempts) == (False, 1)
    assert found.reason == f"the server refuses (HTTP {code})."


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed_and_told(server, code):
    found, _ = told(Webhook(server.url(f"/redirect{code}")))
    assert (found.ok, found.attempts) == (False, 1)
    assert f"redirects elsewhere (HTTP {code})" in (found.reason or "")
    assert server.paths == [f"/redirect{code}"]


@pytest.mark.parametrize("path", ["/slow", "/drip"])
def test_a_webhook_that_hangs_takes_no_longer_than_it_may(server, path):
    found, seconds = told(Webhook(server.url(path), timeout_seconds=0.4, attempts=2))
    assert (found.ok, found.attempts) == (False, 2)
    assert found.reason == "no reply within 0.4 s."
    assert 0.7 < seconds < 3


def test_a_reply_without_end_is_not_read(server):
    found, seconds = told(Webhook(server.url("/endless"), timeout_seconds=5))
    assert found.ok
    assert seconds < 3


def test_a_server_that_is_dead_or_speaks_no_http(server):
    found, _ = told(Webhook(f"http://127.0.0.1:{free_port()}/hook", attempts=2))
    assert (found.ok, found.attempts) == (False, 2)
    assert "cannot be reached" in (found.reason or "")
    found, _ = told(Webhook(server.url("/garbage"), attempts=1))
    assert not found.ok
    assert "no proper reply" in (found.reason or "")
    found, _ = told(Webhook("http://no-such-host.invalid/hook", attempts=1))
    assert not found.ok


def test_no_secret_of_a_webhook_is_kept_or_logged(server, monkeypatch, caplog):
    caplog.set_level(0)
    monkeypatch.setenv("HOOK", server.url("/services/canary-of-the-path?sig=canary-of-the-query"))
    monkeypatch.setenv("HOOK_BEARER", "canary-of-the-bearer")
    targets = [
        Webhook(server.url("/broken/canary-of-a-path", user="me:canary-password@"), attempts=1),
        Webhook(url_env="HOOK", token_env="HOOK_BEARER"),
        Webhook(server.url("/garbage?canary-of-the-query"), attempts=1),
        Webhook(f"http://me:canary-password@127.0.0.1:{free_port()}/canary-of-a-path", attempts=1),
        Webhook(url_env="NO_SUCH_HOOK"),
        Webhook(server.url("/x"), token_env="NO_SUCH_TOKEN"),
    ]
    found = notify(targets, replace(RECORD, error="see http://h/services/canary-of-the-path"))
    # the server is told who asks
    headers = {path: headers for _, path, headers, _ in server.seen}
    assert headers["/broken/canary-of-a-path"]["Authorization"].startswith("Basic ")
    path = "/services/canary-of-the-path?sig=canary-of-the-query"
    assert headers[path]["Authorization"] == "Bearer canary-of-the-bearer"
    kept = json.dumps([one.to_dict() for one in found]) + caplog.text
    kept = kept.replace("canary-of-the-server", "")
    assert "canary" not in kept
    assert found[4].reason == "the variable NO_SUCH_HOOK is not set; set it to the webhook's URL."
    assert found[5].reason == "the variable NO_SUCH_TOKEN is not set; set it to the token."
    assert [one.ok for one in found] == [True, True, False, False, False, False]
    assert found[1].target == "webhook $HOOK"


@pytest.fixture
def script(tmp_path):
    """Make a command of Python code."""

    def make(code: str) -> tuple[str, ...]:
        path = tmp_path / "tell.py"
        path.write_text(textwrap.dedent(code))
        return (sys.executable, str(path))

    return make


def test_a_command_gets_json_on_its_standard_input_and_no_shell(script, tmp_path):
    arguments = script(
        "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    )
    place = tmp_path / "$(touch x); `y` && z*"
    found, _ = told(Command((*arguments, str(place))))
    assert (found.ok, found.attempts, found.reason) == (True, 1, None)
    assert json.loads(place.read_text()) == message(RECORD)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_command_that_fails_says_how_and_what_it_said_last(script):
    found, _ = told(Command(script("import sys; print('one'); print('no  route'); sys.exit(3)")))
    assert not found.ok
    assert found.reason == "it ended with exit code 3. It said: no route"
    found, _ = told(Command(script("import os; os.kill(os.getpid(), 9)")))
    assert found.reason == "it was killed by SIGKILL."
    found, _ = told(Command(("/no/such/program", "canary")))
    assert found.reason == "it cannot be started: No such file or directory."
    assert found.target == "command program"


def test_a_command_that_hangs_is_killed_with_all_that_it_has_started(script, tmp_path):
    place = tmp_path / "pid"
    code = f"""
        import subprocess, sys, pathlib, time
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        pathlib.Path({str(place)!r}).write_text(str(child.pid))
        print("waiting", flush=True)
        time.sleep(60)
    """
    found, seconds = told(Command(script(code), timeout_seconds=1.5))
    assert not found.ok
    assert found.reason == "it did not end within 1.5 s, and was killed. It said: waiting"
    assert seconds < 8
    child = int(place.read_text())
    wait_until(lambda: not _runs(child), seconds=10)


def _runs(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_command_that_leaves_something_behind_is_not_waited_for(script):
    code = """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(5)"])
    """
    found, seconds = told(Command(script(code)))
    assert found.ok
    assert seconds < 4.5


def test_a_command_that_prints_without_end_is_kept_short(script):
    code = """
        import sys
        for _ in range(20_000):
            print("x" * 1000)
        sys.exit("y" * 100_000)
    """
    found, _ = told(Command(script(code)))
    assert not found.ok
    assert len(found.reason or "") <= 303


def test_a_command_need_not_read_what_it_gets(script):
    big = replace(RECORD, error="x" * 1_000_000)
    (found,) = notify([Command(script("pass"))], big)
    assert found.ok


def test_secrets_that_a_command_prints_are_not_kept(script, monkeypatch, tmp_path):
    monkeypatch.setenv("MAIL_PASSWORD", "canary-of-the-environment")
    code = """
        import os, sys
        said = os.environ["MAIL_PASSWORD"]
        print(f"{'x' * 9000} {said} token: canary-assigned http://me:canary-url@host/?canary-query")
        sys.exit(1)
    """
    target = Command((*script(code), "--password", "canary-argument"))
    with recorded(str(tmp_path / "r"), job="nightly", task="retrain", run_id="r1") as attempt:
        found = notify([target], RECORD)
        attempt.notified(*(one.to_dict() for one in found))
    (file,) = (tmp_path / "r").rglob("*.json")
    assert '"ok": false' in file.read_text()
    assert "It said: " in file.read_text()
    assert "canary" not in file.read_text()


def test_who_was_told_of_the_end_stands_in_the_record_and_the_metrics_are_of_the_same(
    server, tmp_path
):
    targets = [Webhook(server.url("/hook")), Command(("/no/such/program",))]
    attempts = []

    def act() -> None:
        with recorded(str(tmp_path), job="nightly", task="retrain", run_id="r1") as attempt:
            attempts.append(attempt)
            raise GateRefused("the gate refuses the challenger.")

    with pytest.raises(GateRefused):
        act()
    (attempt,) = attempts
    found = tell(targets, attempt)
    assert [one.ok for one in found] == [True, False]
    ((*_, body),) = server.seen
    assert (body["outcome"], body["exit_code"]) == ("refused", 5)
    (record,) = records.attempts(str(tmp_path), "r1")
    assert (record.outcome, record.exit_code) == ("refused", 5)
    assert [one["ok"] for one in record.notifications] == [True, False]
    assert "No such file" in record.notifications[1]["reason"]
    assert attempt.record.to_dict() == record.to_dict()
    place = write_textfile(attempt.record, tmp_path)
    assert 'dkmeans_run_exit_code{job_name="nightly",task="retrain"} 5' in place.read_text()
    # of an attempt whose record can no longer be written, nothing fails
    shutil.rmtree(tmp_path / "runs")
    (tmp_path / "runs").write_text("no folder")
    assert [one.ok for one in tell(targets, attempt)] == [True, False]


def test_a_target_that_raises_fails_no_job():
    class Broken:
        when = ("always",)
        name = "broken"

        def tell(self, data: bytes) -> tuple[int, str | None]:
            raise ZeroDivisionError("password=canary")

    found, _ = told(Broken())
    assert (found.ok, found.reason) == (False, "ZeroDivisionError: password=...")


def test_targets_hear_of_the_outcomes_that_they_want():
    assert wants(("always",), "nothing to do")
    assert wants(("refused", "drift"), "drift")
    assert not wants(("refused",), "failed")
    for outcome in ("refused", "drift", "failed", "stopped", "lost"):
        assert wants(("trouble",), outcome)
    for outcome in ("done", "nothing to do"):
        assert not wants(("trouble",), outcome)
    assert notify([Command(("/no/such/program",))], replace(RECORD, outcome="done")) == ()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Webhook(), "needs one of url and url_env"),
        (lambda: Webhook("http://h/", url_env="X"), "needs one of url and url_env"),
        (lambda: Webhook("file:///etc/passwd"), "url should be the URL of a webhook"),
        (lambda: Webhook("ftp://host/x"), "url should be the URL of a webhook"),
        (lambda: Webhook("http://"), "url should be the URL of a webhook"),
        (lambda: Webhook("http://host:port/x"), "url should be the URL of a webhook"),
        (lambda: Webhook("http://h/x y"), "url should be the URL of a webhook"),
        (lambda: Webhook("http://h/x\r\nX: y"), "url should be the URL of a webhook"),
        (lambda: Webhook("http://h/", attempts=0), "attempts=0 should be a whole number"),
        (lambda: Webhook("http://h/", timeout_seconds=0), "timeout_seconds=0 should be above 0"),
        (lambda: Webhook("http://h/", when=("failures",)), "should be among always, trouble"),
        (lambda: Command(()), "should be a list of texts"),
        (lambda: Command("mail -s x"), "should be a list of texts"),
        (lambda: Command(("mail", 3)), "should be a list of texts"),
        (lambda: Command(("a\0b",)), "should be a list of texts"),
        (lambda: Command(("a",), timeout_seconds=float("nan")), "timeout_seconds=nan"),
    ],
)
def test_impossible_targets_are_refused_when_they_are_made(make, match):
    with pytest.raises(ArgumentError, match=match):
        make()


def test_the_address_of_a_webhook_from_the_environment_is_checked_and_not_shown(monkeypatch):
    monkeypatch.setenv("HOOK", "canary-that-is-no-address")
    found, _ = told(Webhook(url_env="HOOK"))
    assert not found.ok
    assert "$HOOK should be the URL of a webhook" in (found.reason or "")
    assert "canary" not in (found.reason or "")


def test_notifications_leave_no_thread_and_no_handle_behind(script, server):
    told(Webhook(server.url("/hook")))
    told(Command(script("print(1)")))
    before = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        told(Webhook(server.url("/hook")))
        told(Command(script("print(1)")))
    wait_until(lambda: not _ours(), seconds=5)
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before[1], seconds=5)


def _ours() -> set[str]:
    names = {thread.name for thread in threading.enumerate()}
    return names & {"dkmeans-webhook", "dkmeans-command"}


def test_an_attempt_whose_program_is_no_program_is_told(tmp_path):
    file = tmp_path / "tell"
    file.write_text("echo")
    file.chmod(stat.S_IRUSR)
    found, _ = told(Command((str(file),)))
    assert found.reason == "it cannot be started: Permission denied."
