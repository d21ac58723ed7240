"""A service in a process of its own: tokens, TLS, clients that misbehave, and how it ends."""

import contextlib
import json
import signal
import socket
import ssl
import threading
import time

import numpy as np
import pytest

from dkmeans.service.arrow_rows import STREAM
from tests.cli.command import run
from tests.conftest import wait_until
from tests.deploy.certificates import make_certificates
from tests.service.processes import JSON, Line, head, post, serving
from tests.service.stands import a_model
from tests.service.test_app import table_of
from tests.service.test_arrow_rows import stream

TOKEN, OTHER = "first-0123456789abcdef", "other-0123456789abcdef"
BEARER = f"Authorization: Bearer {TOKEN}"
ROWS = {"rows": [[31337.25, 2.0]]}
MIB = 2**20


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """A service with a token, and limits that tests can wait for."""
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "tokens").write_text(f"{TOKEN}\n\n")
    limits = {"timeout": 3, "max-body-mb": 2, "max-json-mb": 1, "max-connections": 30, "drain": 2}
    arguments = [one for name, value in limits.items() for one in (f"--{name}", value)]
    with serving(a_model(100, 2), folder, "--token-file", folder / "tokens", *arguments) as running:
        running.tokens = folder / "tokens"
        yield running


def ask(running, data, context=None):
    with Line(running.port, context) as line:
        line.send(data)
        return line.answer()


def test_a_token_of_the_file_is_asked_for_and_another_one_when_the_file_changes(guarded):
    assert ask(guarded, head("/healthz", method="GET"))[0] == 200
    status, headers, body = ask(guarded, post("/predict", ROWS))
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="dkmeans"')
    assert json.loads(body)["error"]["request_id"] == headers["x-request-id"]
    status, headers, body = ask(guarded, post("/predict", ROWS, BEARER))
    assert status == 200
    expected = a_model(100, 2).assign(np.array(ROWS["rows"], np.float32), by_row=True)
    assert json.loads(body)["cluster_ids"] == expected.cluster_ids.tolist()
    assert ask(guarded, post("/predict", ROWS, f"Authorization: Bearer {OTHER}"))[0] == 401

    def is_accepted(token, wanted):
        end = time.monotonic() + 10
        bearer = f"Authorization: Bearer {token}"
        while (ask(guarded, post("/predict", ROWS, bearer))[0] == 200) != wanted:
            assert time.monotonic() < end
            time.sleep(0.1)
        return True

    guarded.tokens.write_text(f"{OTHER}\n{TOKEN}\n")
    assert is_accepted(OTHER, True)
    assert is_accepted(TOKEN, True)
    # a file that holds none is no reason to let anybody in, or to keep everybody out
    guarded.tokens.write_text("short\n")
    time.sleep(1.2)
    assert is_accepted(OTHER, True)
    assert is_accepted("short", False)
    assert any("stay what they were" in one.get("text", "") for one in guarded.events())
    guarded.tokens.write_text(f"{TOKEN}\n")
    assert is_accepted(OTHER, False)


def test_connections_that_send_nothing_or_too_slowly_are_closed(guarded):
    began = time.monotonic()
    with Line(guarded.port) as silent, Line(guarded.port) as header, Line(guarded.port) as body:
        header.send(b"POST /predict HTT")
        body.send(head("/predict", JSON, BEARER, "Content-Length: 100") + b'{"rows"')
        for line, closes in ((silent, True), (header, True), (body, True)):
            status, _, told = line.answer()
            assert (status, json.loads(told)["error"]["type"]) == (408, "too_slow")
            assert line.is_closed() == closes
        assert 2.9 < time.monotonic() - began < 15


def test_what_is_no_http_or_has_endless_headers_is_answered_and_closed(guarded):
    for data, status, kind in (
        (b"\x16\x03\x01 hello\r\n\r\n", 400, "invalid_http"),
        (b"GET /" + b"a" * 200_000, 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000, 431, "headers_too_large"),
    ):
        with Line(guarded.port) as line:
            line.send(data)
            found, _, body = line.answer()
            assert (found, json.loads(body)["error"]["type"]) == (status, kind)
            assert line.is_closed()


def test_what_comes_beside_a_body_is_limited_too(guarded):
    begun = head("/predict", JSON, BEARER, "Transfer-Encoding: chunked") + b"1\r\n{\r\n"
    before = guarded.rss
    for endless in (b"0\r\n" + b"X-A: b\r\n" * 2_000_000, b"1;" + b"a" * 16 * MIB):
        with Line(guarded.port) as line:
            line.send(begun)
            # one end or the other notices first that it is over
            with contextlib.suppress(OSError):
                line.send(endless)
            with contextlib.suppress(OSError):
                status, _, _ = line.answer()
                assert status in (0, 431)
            assert line.is_closed()
    assert guarded.rss - before < 16 * MIB


def test_a_body_in_wrong_pieces_is_answered_and_closed(guarded):
    for how, body in (("chunked", b"-1\r\n"), ("chunked", b"F" * 20 + b"\r\n"), ("x", b"")):
        with Line(guarded.port) as line:
            line.send(head("/predict", JSON, BEARER, f"Transfer-Encoding: {how}") + body)
            status, headers, told = line.answer()
            assert (status, headers["connection"]) == (400, "close")
            assert json.loads(told)["error"]["type"] == "invalid_http"
            assert line.is_closed()
    # nothing is said of it but what requests are said to be
    assert not any(one.get("logger", "").startswith("uvicorn") for one in guarded.events())


def test_a_gigabyte_is_refused_in_little_memory(guarded):
    before, most = guarded.rss, [0]
    done = threading.Event()

    def watch():
        while not done.wait(0.01):
            most[0] = max(most[0], guarded.rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    block = b" " * MIB
    arrow = f"Content-Type: {STREAM}"
    try:
        for kind, is_chunked in ((JSON, True), (arrow, False)):
            how = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {2**30}"
            with Line(guarded.port) as line:
                line.send(head("/predict", kind, BEARER, how))
                n_sent = 0
                try:
                    while n_sent < 2**30:
                        line.send(b"%x\r\n%b\r\n" % (MIB, block) if is_chunked else block)
                        n_sent += MIB
                except OSError:
                    # what is left of the body is not taken for ever
                    assert n_sent > 100 * MIB
                status, _, body = line.answer()
                assert (status, json.loads(body)["error"]["type"]) == (413, "too_large")
    finally:
        done.set()
        watcher.join()
    assert most[0] - before < 24 * MIB
    assert ask(guarded, post("/predict", ROWS, BEARER))[0] == 200


def test_who_asks_first_whether_to_send_is_told_no(guarded):
    with Line(guarded.port) as line:
        line.send(head("/predict", JSON, BEARER, f"Content-Length: {2**30}",
                       "Expect: 100-continue"))  # fmt: skip
        status, headers, _ = line.answer()
        assert (status, headers["connection"]) == (413, "close")
        assert line.is_closed()


def test_who_will_not_ask_again_is_answered_too(guarded):
    # as Python's urllib does; more than fits into the buffers of a connection
    body = b" " * (64 * MIB)
    with Line(guarded.port) as line:
        line.send(head("/predict", JSON, BEARER, "Connection: close",
                       f"Content-Length: {len(body)}"))  # fmt: skip
        line.send(body)
        status, headers, _ = line.answer()
        assert (status, headers["connection"]) == (413, "close")
        assert line.is_closed()


def test_a_body_that_turns_out_wrong_after_its_answer_gets_no_second_one(guarded):
    with Line(guarded.port) as line:
        line.send(head("/nowhere", BEARER, "Transfer-Encoding: chunked") + b"1\r\nx\r\n")
        assert line.answer()[0] == 404
        line.send(b"no length\r\n")
        assert line.is_closed()


def test_a_connection_is_used_again_after_a_refusal(guarded):
    with Line(guarded.port) as line:
        for _ in range(3):
            line.send(post("/predict", {"rows": [["x", 1]]}, BEARER))
            assert line.answer()[0] == 422
            line.send(post("/predict", b" " * (MIB + 1), BEARER))
            assert line.answer()[0] == 413
            line.send(post("/predict", ROWS, BEARER))
            assert line.answer()[0] == 200
        # several at a time are answered in their order
        line.send(post("/predict", ROWS, BEARER) * 3 + head("/nowhere", BEARER, method="GET"))
        assert [line.answer()[0] for _ in range(4)] == [200, 200, 200, 404]


def test_an_answer_that_nobody_takes_is_dropped(guarded):
    X = np.zeros((20_000, 2), np.float32)
    body = stream(table_of(X))
    with Line(guarded.port) as line:
        line.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.send(head("/distances", f"Content-Type: {STREAM}", "Accept: application/json", BEARER,
                       f"Content-Length: {len(body)}") + body)  # fmt: skip
        end = time.monotonic() + 20
        while not any(one.get("error") == "taken_too_slowly" for one in guarded.events()):
            assert time.monotonic() < end
            time.sleep(0.1)


def test_connections_are_limited(guarded):
    lines = [Line(guarded.port) for _ in range(30)]
    try:
        with Line(guarded.port) as line:
            status, _, body = line.answer()
        assert (status, json.loads(body)["error"]["type"]) == (503, "too_many_connections")
    finally:
        for line in lines:
            line.sock.close()
    end = time.monotonic() + 10
    while ask(guarded, head("/healthz", method="GET"))[0] != 200:
        assert time.monotonic() < end


def is_listening(port):
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_sigterm_lets_requests_in_work_end_and_the_log_holds_no_row_and_no_token(guarded):
    body = json.dumps(ROWS).encode()
    assert ask(guarded, post("/predict", ROWS, f"Authorization: Bearer {OTHER}"))[0] == 401
    assert ask(guarded, post("/predict", b" " * (MIB + 1), BEARER))[0] == 413
    with Line(guarded.port) as line, Line(guarded.port) as other:
        line.send(head("/predict", JSON, BEARER, f"Content-Length: {len(body)}") + body[:5])
        other.send(head("/readyz", method="GET"))
        assert other.answer()[0] == 200
        guarded.process.send_signal(signal.SIGTERM)
        end, status = time.monotonic() + 10, 200
        while status == 200:
            assert time.monotonic() < end
            other.send(head("/readyz", method="GET"))
            status, _, told = other.answer()
        assert (status, json.loads(told)) == (503, {"status": "stopping"})
        # still taken, for a while
        assert ask(guarded, post("/predict", ROWS, BEARER))[0] == 200
        wait_until(lambda: not is_listening(guarded.port))
        line.send(body[5:])
        status, headers, _ = line.answer()
        assert (status, headers["connection"]) == (200, "close")
    assert guarded.process.wait(10) == 0
    text = guarded.log.read_text()
    assert "31337" not in text
    assert TOKEN not in text
    assert OTHER not in text
    events = guarded.events()
    assert events[-1]["event"] == "stopped"
    assert events[-1]["cut_off"] == 0
    asked = [one for one in events if one["event"] == "request"]
    good = next(one for one in asked if one["status"] == 200 and one["path"] == "/predict")
    assert good["rows"] == 1
    assert 0 < good["seconds"] < 10
    assert set(good) == {"time", "event", "status", "request_id", "method", "path", "seconds",
                         "rows", "bytes"}  # fmt: skip
    assert {one["error"] for one in asked if one["status"] == 413} == {"too_large"}


def test_tls_is_spoken_and_ctrl_c_cuts_off_what_outlasts_the_grace(tmp_path):
    made = make_certificates(tmp_path)
    cert, key, context = made.certificate, made.key, ssl.create_default_context(cafile=made.ca)
    arguments = ("--tls-cert", cert, "--tls-key", key, "--grace", 1, "--host", "localhost",
                 "--timeout", 2)  # fmt: skip
    with serving(a_model(), tmp_path, *arguments, env={"DKMEANS_TOKEN": TOKEN}) as running:
        assert running.url.startswith("https://")
        assert ask(running, post("/predict", {"rows": [[1, 2]]}, BEARER), context)[0] == 200
        assert ask(running, post("/predict", {"rows": [[1, 2]]}), context)[0] == 401
        with Line(running.port) as plain:
            plain.send(head("/healthz", method="GET"))
            assert plain.answer()[0] == 0
        with Line(running.port) as silent:
            assert silent.is_closed(8)
        with Line(running.port, context) as line:
            line.send(head("/predict", JSON, BEARER, "Content-Length: 99") + b"{")
            time.sleep(0.2)
            began = time.monotonic()
            assert running.stop(signal.SIGINT) == 0
            assert 0.9 < time.monotonic() - began < 15
            status, _, body = line.answer()
            assert (status, json.loads(body)["error"]["type"]) == (503, "stopping")
        assert running.events()[-1]["cut_off"] == 1, running.log.read_text()
        assert "Traceback" not in running.log.read_text()


def test_what_cannot_be_served_ends_with_one_line(tmp_path, monkeypatch):
    monkeypatch.delenv("DKMEANS_TOKEN", raising=False)
    model = tmp_path / "model"
    a_model().save(str(model))
    made = make_certificates(tmp_path)
    cert, key = made.certificate, made.key
    (tmp_path / "tokens").write_text("tiny-token\n")
    (tmp_path / "empty").write_text("\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, code, words in (
            ((model, "--port", port), 2, "in use"),
            ((tmp_path / "nowhere", "--port", 0), 3, "no model"),
            ((f"{tmp_path}/registry@champion", "--port", 0), 3, "registry"),
            ((model, "--host", "0.0.0.0"), 2, "--no-token"),
            ((model, "--host", ""), 2, "the host is empty"),
            ((model, "--host", "no.such.host.invalid", "--no-token"), 2, "unknown"),
            ((model, "--token-file", tmp_path / "none"), 2, "cannot be read"),
            ((model, "--token-file", tmp_path / "empty"), 2, "openssl rand -hex 32"),
            ((model, "--token-file", tmp_path / "tokens"), 2, "line 1 of the token file"),
            ((model, "--token-file", tmp_path / "tokens", "--no-token"), 2, "contradict"),
            ((model, "--tls-cert", cert), 2, "go together"),
            ((model, "--tls-cert", cert, "--tls-key", cert), 2, "cannot be used"),
            ((model, "--tls-cert", tmp_path / "x", "--tls-key", key), 2, "cannot be read"),
        ):  # fmt: skip
            found = run("serve", *arguments)
            assert (found.code, words in found.error) == (code, True), found.err
            assert "tiny-token" not in found.err
    for option in ("--port", "--max-rows", "--timeout", "--grace", "--log"):
        found = run("serve", model, option, -1)
        assert (found.code, option in found.err) == (2, True)


def test_a_missing_extra_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    found = run("serve", tmp_path)
    assert found.code == 2
    assert "pip install 'dkmeans[serve]'" in found.error
