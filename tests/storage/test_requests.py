"""One policy for all requests: what is tried again, for how long, and what ends it."""

import itertools
import threading
import time
from types import SimpleNamespace

import fsspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from fsspec.implementations.memory import MemoryFileSystem

from dkmeans.errors import (
    ArgumentError,
    BadValues,
    InputChanged,
    MissingInput,
    StoreUnreachable,
)
from dkmeans.storage.access import Access, access_of, fsspec_options
from dkmeans.storage.filesystem import remember
from dkmeans.storage.requests import request

URL = "memory://me:canary@bucket/a"


@pytest.fixture
def clock(monkeypatch):
    """A clock that only our waits move; it notes them. Threads of other tests keep the real one."""
    clock = SimpleNamespace(now=1000.0, waits=[])
    ours = threading.get_ident()

    def sleep(seconds):
        if threading.get_ident() != ours:
            time.sleep(seconds)
            return
        clock.waits.append(seconds)
        # each attempt takes its time, too
        clock.now += seconds + 0.01

    def monotonic():
        return clock.now if threading.get_ident() == ours else time.monotonic()

    clock.monotonic, clock.sleep = monotonic, sleep
    monkeypatch.setattr("dkmeans.storage.requests.time", clock)
    return clock


def code(name, status=400):
    return ClientError(
        {"Error": {"Code": name, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "GetObject",
    )


class Failing:
    """An operation that raises errors, in turn, the last one for ever; None succeeds."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    def __call__(self, fs, path):
        error = self.errors[min(self.calls, len(self.errors) - 1)]
        self.calls += 1
        if error is not None:
            raise error
        return "done"


def test_what_succeeds_is_done_once(clock):
    operation = Failing(None)
    assert request("memory://bucket/a", "", operation) == "done"
    assert operation.calls == 1
    assert clock.waits == []


def test_an_operation_gets_its_filesystem_and_path():
    fs, path = request("memory://bucket/a", "", lambda fs, path: (fs, path))
    assert isinstance(fs, MemoryFileSystem)
    assert path == "/bucket/a"


@pytest.mark.parametrize(
    "error",
    [
        code("SlowDown", 503),
        code("InternalError", 500),
        ConnectionResetError(),
        TimeoutError(),
    ],
)
def test_what_may_pass_is_tried_until_it_has_passed(clock, error):
    operation = Failing(error, error, error, error, None)
    assert request("memory://bucket/a", "", operation) == "done"
    assert operation.calls == 5
    assert len(clock.waits) >= 4


def test_waits_are_drawn_from_a_range_that_doubles_up_to_a_limit(clock, monkeypatch):
    ranges = []

    def uniform(low, high):
        ranges.append((low, high))
        return high

    monkeypatch.setattr("dkmeans.storage.requests.random.uniform", uniform)
    request("memory://bucket/a", "", Failing(*[ConnectionResetError()] * 12, None))
    lows, highs = zip(*ranges, strict=True)
    assert set(lows) == {0}
    assert [b / a for a, b in itertools.pairwise(highs[:6])] == [2] * 5
    assert highs[-1] == highs[-2] <= 60


def test_waits_differ_from_one_request_to_the_next(clock):
    for _ in range(2):
        request("memory://bucket/a", "", Failing(*[ConnectionResetError()] * 6, None))
    assert clock.waits[:6] != clock.waits[6:]


def test_ten_minutes_are_the_budget_and_the_error_says_how_often_it_was_tried(clock):
    operation = Failing(code("SlowDown", 503))
    with pytest.raises(StoreUnreachable, match="SlowDown") as caught:
        request(URL, "", operation)
    assert 600 <= clock.now - 1000 < 640
    assert operation.calls > 30
    assert f"({operation.calls} attempts)" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.exit_code == 7


def test_the_budget_is_an_option(clock):
    options = remember({"dkmeans": {"retry_seconds": 7}})
    with pytest.raises(StoreUnreachable):
        request("memory://bucket/a", options, Failing(TimeoutError()))
    assert 7 <= clock.now - 1000 < 28
    operation = Failing(TimeoutError())
    with pytest.raises(StoreUnreachable):
        request("memory://bucket/a", remember({"dkmeans": {"retry_seconds": 0}}), operation)
    assert operation.calls == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError("a"), MissingInput),
        (PermissionError("a"), StoreUnreachable),
        (IsADirectoryError("a"), ArgumentError),
        (code("AccessDenied", 403), StoreUnreachable),
        (code("InvalidRange", 416), StoreUnreachable),
        (OSError("disk full"), StoreUnreachable),
        (BadValues("our own"), BadValues),
        (KeyError("a bug"), KeyError),
    ],
)
def test_what_does_not_pass_is_not_tried_again(clock, error, kind):
    operation = Failing(error)
    with pytest.raises(kind):
        request("memory://bucket/a", "", operation)
    assert operation.calls == 1
    assert clock.waits == []


def test_an_object_that_is_another_one_is_refused_at_once(clock):
    operation = Failing(code("PreconditionFailed", 412))
    with pytest.raises(InputChanged, match=r"memory://bucket/a has changed") as caught:
        request(URL, "", operation)
    assert operation.calls == 1
    assert "canary" not in str(caught.value)


def test_an_interrupt_is_no_error_of_the_store_and_leaves_the_gate(clock):
    options = remember({"dkmeans": {"requests": 1}})
    with pytest.raises(KeyboardInterrupt):
        request("memory://bucket/a", options, Failing(KeyboardInterrupt()))
    # the one place would be taken for ever
    assert request("memory://bucket/a", options, Failing(None)) == "done"


def test_local_files_are_not_tried_again(tmp_path, clock):
    operation = Failing(TimeoutError())
    with pytest.raises(StoreUnreachable):
        request(str(tmp_path / "a"), "", operation)
    assert operation.calls == 1


@pytest.fixture
def store(clock):
    """A filesystem class whose credentials can be renewed, on a protocol of its own."""

    class Renewable(MemoryFileSystem):
        protocol = "renewable"
        n_connected = 0
        fails = None

        def __init__(self, key=None, secret=None, **options):
            super().__init__(**options)

        def connect(self, refresh=False):
            type(self).n_connected += refresh
            if self.fails is not None:
                raise self.fails

    fsspec.register_implementation("renewable", Renewable, clobber=True)
    return Renewable


def test_expired_credentials_are_renewed_until_they_are_good(clock, store):
    assert request("renewable://a", "", Failing(*[code("ExpiredToken")] * 3, None)) == "done"
    assert store.n_connected == 3


def test_credentials_that_stay_expired_end_the_job_before_the_budget(clock, store):
    with pytest.raises(StoreUnreachable, match=r"credentials .* expired and were not renewed"):
        request("renewable://a", "", Failing(code("ExpiredToken")))
    assert 60 <= sum(clock.waits) <= 300


def test_credentials_that_are_renewed_after_half_a_minute_are_waited_for(clock, store):
    began = clock.now

    def operation(fs, path):
        if clock.now < began + 30:
            raise code("ExpiredToken")
        return "done"

    assert request("renewable://a", "", operation) == "done"


def test_a_credentials_file_that_is_half_written_is_read_once_more(clock, store, monkeypatch):
    from botocore.exceptions import PartialCredentialsError

    monkeypatch.setattr(
        store, "fails", PartialCredentialsError(provider="shared", cred_var="secret")
    )

    def operation(fs, path):
        if store.n_connected < 3:
            if store.n_connected == 2:
                monkeypatch.setattr(store, "fails", None)
            raise code("ExpiredToken")
        return "done"

    assert request("renewable://a", "", operation) == "done"


def test_credentials_that_were_passed_cannot_be_renewed_and_are_not_shown(clock, store):
    options = remember({"key": "canary-key", "secret": "canary-secret"})
    operation = Failing(code("ExpiredToken"))
    with pytest.raises(StoreUnreachable, match="credentials") as caught:
        request("renewable://a", options, operation)
    assert operation.calls == 1
    assert store.n_connected == 0
    assert "canary" not in str(caught.value)


def test_a_store_that_never_answered_is_given_up_soon(clock, store, monkeypatch):
    monkeypatch.setattr(store, "endpoint_url", "http://127.0.0.1:1", raising=False)
    silent = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    with pytest.raises(StoreUnreachable, match="check the endpoint"):
        request("renewable://a", "", Failing(silent))
    assert sum(clock.waits) < 30


def test_a_store_that_has_answered_before_is_waited_for(clock):
    request("memory://bucket/a", "", Failing(None))
    silent = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    began = clock.now

    def operation(fs, path):
        if clock.now < began + 300:
            raise silent
        return "done"

    assert request("memory://bucket/a", "", operation) == "done"


@pytest.mark.parametrize(
    "ours",
    [
        {"retry_second": 5},
        {"retry_seconds": -1},
        {"retry_seconds": "soon"},
        {"retry_seconds": None},
        {"retry_seconds": float("nan")},
        {"requests": 0},
        {"requests": "many"},
        {"client": "boto"},
        {"client": ["s3fs"]},
        "600",
        [],
    ],
)
def test_access_that_cannot_be_is_refused(ours):
    with pytest.raises(ArgumentError, match="storage option 'dkmeans'"):
        access_of({"dkmeans": ours})
    with pytest.raises(ArgumentError):
        remember({"dkmeans": ours})


def test_access_has_defaults_and_takes_words_of_the_command_line():
    assert access_of({}) == Access(600.0, 32, "s3fs")
    ours = {"retry_seconds": "5", "requests": "4", "client": "arrow"}
    assert access_of({"dkmeans": ours}) == Access(5.0, 4, "arrow")


def test_our_entry_is_not_for_fsspec_and_s3_has_no_retries_but_ours():
    given = {"key": "k", "dkmeans": {"requests": 4}, "config_kwargs": {"read_timeout": 1}}
    options = fsspec_options("s3", given)
    assert "dkmeans" not in options
    assert options["key"] == "k"
    assert options["config_kwargs"]["read_timeout"] == 1
    assert options["config_kwargs"]["retries"]["total_max_attempts"] == 1
    assert given["config_kwargs"] == {"read_timeout": 1}
    assert fsspec_options("memory", {"dkmeans": {}}) == {}
