"""The servers that other tests lean on: a proxy that fails as it is told, and a Swift."""

import contextlib
import http.client
import io
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from xml.etree import ElementTree

import botocore.config
import botocore.exceptions
import botocore.session
import numpy as np
import pytest
import s3fs
from werkzeug.datastructures import EnvironHeaders

from tests import s3_server
from tests.conftest import wait_until
from tests.fault_proxy import ERRORS, FaultProxy, Rule
from tests.swift_server import SwiftServer

BODY = np.random.default_rng(0).bytes(200_000)
HALF = len(BODY) // 2


@pytest.fixture
def proxy(s3: dict) -> Iterator[FaultProxy]:
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        yield proxy


@pytest.fixture
def path(bucket: str, s3: dict) -> str:
    """The path of an object that anybody may read."""
    fs = s3fs.S3FileSystem(**s3)
    fs.pipe_file(f"{bucket}/object", BODY, ACL="public-read")
    return f"/{bucket.removeprefix('s3://')}/object"


@contextlib.contextmanager
def connected(proxy: FaultProxy, timeout: float = 30) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(proxy.url.removeprefix("http://"), timeout=timeout)
    with contextlib.closing(connection):
        yield connection


def ask(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str
) -> http.client.HTTPResponse:
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def get(proxy: FaultProxy, path: str) -> tuple[int, bytes]:
    with connected(proxy) as connection:
        reply = ask(connection, path)
        return reply.status, reply.read()


@contextlib.contextmanager
def signing(url: str, key: str, secret: str, timeout: float = 30):
    """A client that signs its requests and retries none."""
    config = botocore.config.Config(
        retries={"max_attempts": 0}, read_timeout=timeout, s3={"addressing_style": "path"}
    )
    client = botocore.session.get_session().create_client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=config,
    )
    with contextlib.closing(client):
        yield client


@pytest.fixture
def client(proxy: FaultProxy, s3: dict):
    with signing(proxy.url, s3["key"], s3["secret"]) as client:
        yield client


def test_without_rules_nothing_is_changed(proxy, client, bucket: str) -> None:
    name = bucket.removeprefix("s3://")
    client.put_object(Bucket=name, Key="a/b", Body=BODY)
    whole = client.get_object(Bucket=name, Key="a/b")
    assert whole["Body"].read() == BODY
    part = client.get_object(Bucket=name, Key="a/b", Range="bytes=10-19")
    assert part["Body"].read() == BODY[10:20]
    assert part["ContentRange"] == f"bytes 10-19/{len(BODY)}"
    head = client.head_object(Bucket=name, Key="a/b")
    assert head["ContentLength"] == len(BODY)
    assert head["ETag"] == whole["ETag"]
    listed = client.list_objects_v2(Bucket=name, Prefix="a/")
    assert [found["Key"] for found in listed["Contents"]] == ["a/b"]
    assert client.delete_object(Bucket=name, Key="a/b")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(botocore.exceptions.ClientError, match="NoSuchKey"):
        client.get_object(Bucket=name, Key="a/b")

    assert [seen[:4] for seen in proxy.requests] == [
        ("PUT", f"/{name}/a/b", None, 200),
        ("GET", f"/{name}/a/b", None, 200),
        ("GET", f"/{name}/a/b", "bytes=10-19", 206),
        ("HEAD", f"/{name}/a/b", None, 200),
        ("GET", f"/{name}?list-type=2&prefix=a%2F&encoding-type=url", None, 200),
        ("DELETE", f"/{name}/a/b", None, 204),
        ("GET", f"/{name}/a/b", None, 404),
    ]
    assert proxy.count("GET") == 4
    assert proxy.count("GET", r"/a/b$") == 3
    assert proxy.count(outcome=404) == 1
    assert proxy.most_in_flight == 1
    assert len(BODY) + 10 < proxy.bytes_sent < len(BODY) + 3000
    proxy.forget()
    assert proxy.count() == proxy.bytes_sent == 0


def test_bodies_of_every_framing_pass(proxy, bucket: str, s3: dict) -> None:
    path = f"/{bucket.removeprefix('s3://')}/chunks"
    pieces = [BODY[:1], BODY[1:70_000], BODY[70_000:]]
    with connected(proxy) as connection:
        connection.request("PUT", path, iter(pieces), encode_chunked=True)
        first = connection.sock
        assert connection.getresponse().read() == b""
        assert first is connection.sock, "the connection is kept"
    assert s3fs.S3FileSystem(**s3).cat_file(f"{bucket}/chunks") == BODY


def test_a_client_that_awaits_leave_to_send_gets_it(proxy, bucket: str) -> None:
    with connected(proxy) as connection:
        connection.putrequest("PUT", f"/{bucket.removeprefix('s3://')}/a")
        connection.putheader("Expect", "100-continue")
        connection.putheader("Content-Length", "3")
        connection.endheaders()
        assert connection.sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.send(b"abc")
        assert connection.getresponse().status == 200


@pytest.mark.parametrize("fault", ERRORS)
def test_errors_come_as_s3_writes_them(proxy, path: str, fault: str) -> None:
    status, code, message = ERRORS[fault]
    proxy.fail(fault, times=2)
    with connected(proxy) as connection:
        reply = ask(connection, path)
        first = connection.sock
        root = ElementTree.fromstring(reply.read())
        assert (reply.status, root.tag) == (status, "Error")
        assert (root.findtext("Code"), root.findtext("Message")) == (code, message)
        head = ask(connection, path, "HEAD")
        assert (head.status, head.read()) == (status, b"")
        assert ask(connection, path).read() == BODY
        assert connection.sock is first, "the connection is kept"
    assert [seen.outcome for seen in proxy.requests] == [fault, fault, 200]


def test_a_head_has_no_body_even_if_it_fails(proxy, path: str) -> None:
    proxy.fail("slow_down", times=1)
    for status in (b"503", b"200"):
        with connected(proxy) as connection:
            connection.request("HEAD", path, headers={"Connection": "close"})
            came = b"".join(iter(lambda: connection.sock.recv(65536), b""))
        assert came.startswith(b"HTTP/1.1 " + status)
        assert b"\r\nContent-Length: " in came
        assert came.index(b"\r\n\r\n") == len(came) - 4


def test_botocore_reads_the_errors(proxy, client, path: str) -> None:
    _, bucket, key = path.split("/")
    proxy.fail("slow_down")
    with pytest.raises(botocore.exceptions.ClientError, match="SlowDown") as caught:
        client.get_object(Bucket=bucket, Key=key)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503


def test_reset_comes_before_anything_is_done(proxy, bucket: str, s3: dict) -> None:
    proxy.fail("reset")
    with connected(proxy) as connection:
        connection.request("PUT", f"/{bucket.removeprefix('s3://')}/a", b"abc")
        with pytest.raises(ConnectionResetError) as caught:
            connection.getresponse()
    assert caught.type is ConnectionResetError, "not http.client's for a connection that ends"
    assert proxy.count("PUT", outcome="reset") == 1
    assert s3fs.S3FileSystem(**s3).ls(bucket) == []


def test_reset_body_comes_amid_the_body(proxy, path: str) -> None:
    proxy.fail("reset_body")
    with connected(proxy) as connection:
        reply = ask(connection, path)
        assert (reply.status, reply.length) == (200, len(BODY))
        assert reply.read(1000) == BODY[:1000]
        with pytest.raises(ConnectionResetError):
            reply.read()


def test_truncate_closes_after_half(proxy, path: str) -> None:
    proxy.fail("truncate")
    with connected(proxy) as connection:
        reply = ask(connection, path)
        with pytest.raises(http.client.IncompleteRead) as caught:
            reply.read()
    assert caught.value.partial == BODY[:HALF]
    assert caught.value.expected == len(BODY) - HALF


def test_short_agrees_with_itself(proxy, path: str) -> None:
    proxy.fail("short")
    with connected(proxy) as connection:
        reply = ask(connection, path, Range="bytes=100-1099")
        assert reply.status == 206
        assert reply.getheader("Content-Length") == "500"
        assert reply.getheader("Content-Range") == f"bytes 100-1099/{len(BODY)}"
        assert reply.read() == BODY[100:600]
        assert connection.sock is not None, "the connection is kept"


def test_flip_changes_one_bit(proxy, path: str) -> None:
    proxy.fail("flip")
    status, body = get(proxy, path)
    assert (status, len(body)) == (200, len(BODY))
    apart = np.frombuffer(body, np.uint8) ^ np.frombuffer(BODY, np.uint8)
    assert np.unpackbits(apart).sum() == 1
    assert apart[HALF] != 0


def test_hang_never_answers(proxy, path: str) -> None:
    proxy.fail("hang", times=1)
    with connected(proxy, timeout=0.3) as connection, pytest.raises(TimeoutError):
        ask(connection, path)
    assert proxy.count(outcome="hang") == 1
    assert get(proxy, path) == (200, BODY)


def test_hang_body_stops_after_half(proxy, path: str) -> None:
    proxy.fail("hang_body")
    with connected(proxy) as connection:
        reply = ask(connection, path)
        assert reply.read(HALF) == BODY[:HALF]
        connection.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            reply.read(1)


def test_botocore_times_out_on_a_hang(proxy, path: str, s3: dict) -> None:
    _, bucket, key = path.split("/")
    proxy.fail("hang")
    with (
        signing(proxy.url, s3["key"], s3["secret"], timeout=0.3) as client,
        pytest.raises(botocore.exceptions.ReadTimeoutError),
    ):
        client.get_object(Bucket=bucket, Key=key)


def test_delay_takes_its_time(proxy, path: str) -> None:
    proxy.fail("delay", seconds=0.3)
    began = time.monotonic()
    assert get(proxy, path) == (200, BODY)
    assert time.monotonic() - began >= 0.3
    assert proxy.count(outcome="delay") == 1


def test_drop_reply_does_what_it_is_asked(proxy, client, bucket: str, s3: dict) -> None:
    proxy.fail("drop_reply", method="PUT")
    with pytest.raises(botocore.exceptions.ConnectionClosedError):
        client.put_object(Bucket=bucket.removeprefix("s3://"), Key="a", Body=b"abc")
    assert s3fs.S3FileSystem(**s3).cat_file(f"{bucket}/a") == b"abc"


def test_faults_of_bodies_spare_replies_without_one(proxy, path: str) -> None:
    rule = proxy.fail("truncate", times=1)
    with connected(proxy) as connection:
        assert ask(connection, path, "HEAD").read() == b""
        missing = ask(connection, path + "-not")
        assert missing.status in (403, 404)
        missing.read()
        assert rule.hits == 0
        with pytest.raises(http.client.IncompleteRead):
            ask(connection, path).read()
    assert rule.hits == 1


def test_rules_say_whom_they_strike(proxy, path: str) -> None:
    proxy.rules = [
        Rule("internal_error", path=r"object\?x=", after=1, times=2),
        Rule("slow_down", method="HEAD"),
    ]
    with connected(proxy) as connection:
        for method, query in [("GET", ""), *4 * [("GET", "?x=1")], ("HEAD", "")]:
            ask(connection, path + query, method).read()
    outcomes = [seen.outcome for seen in proxy.requests]
    assert outcomes == [200, 200, "internal_error", "internal_error", 200, "slow_down"]
    proxy.clear()
    assert get(proxy, path) == (200, BODY)


def test_shares_are_drawn_from_the_seed(path: str, s3: dict) -> None:
    runs = []
    for seed in (1, 1, 2):
        with FaultProxy(s3["client_kwargs"]["endpoint_url"], seed) as proxy:
            proxy.fail("slow_down", share=0.5)
            with connected(proxy) as connection:
                for _ in range(20):
                    ask(connection, path, "HEAD").read()
            runs.append([seen.outcome for seen in proxy.requests])
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {200, "slow_down"}


def test_an_unknown_fault_is_refused(proxy) -> None:
    with pytest.raises(ValueError, match="no fault 'slowdown', but access_denied, conflict, delay"):
        proxy.fail("slowdown")
    with pytest.raises(ValueError, match="no fault 'truncate'"):
        proxy.outage(1, "truncate")
    assert proxy.rules == []


@pytest.mark.parametrize("fault", ["slow_down", "reset"])
def test_an_outage_strikes_everything_and_ends(proxy, path: str, fault: str) -> None:
    began = time.monotonic()
    proxy.outage(0.5, fault)
    body = b""
    while body != BODY and time.monotonic() < began + 30:
        with contextlib.suppress(ConnectionResetError):
            body = get(proxy, path)[1]
    assert body == BODY
    *struck, last = proxy.requests
    assert {seen.outcome for seen in struck} == {fault}
    assert last.outcome == 200
    assert last.time >= began + 0.5


def test_faults_can_be_chosen_by_own_code(proxy, path: str, s3: dict) -> None:
    _, bucket, key = path.split("/")

    def old_key(method: str, path: str, headers: dict) -> str | None:
        return "expired_token" if "Credential=old-key/" in headers["authorization"] else None

    proxy.wanted = old_key
    with (
        signing(proxy.url, "old-key", s3["secret"]) as client,
        pytest.raises(botocore.exceptions.ClientError, match="ExpiredToken"),
    ):
        client.get_object(Bucket=bucket, Key=key)
    with signing(proxy.url, s3["key"], s3["secret"]) as client:
        assert client.get_object(Bucket=bucket, Key=key)["Body"].read() == BODY


def test_own_code_that_fails_is_heard_of(path: str, s3: dict) -> None:
    def broken(method: str, path: str, headers: dict) -> str:
        return headers["no-such-header"]

    proxy = FaultProxy(s3["client_kwargs"]["endpoint_url"])
    proxy.wanted = broken
    with (
        pytest.raises(KeyError, match="no-such-header"),
        proxy,
        contextlib.suppress(http.client.RemoteDisconnected),
    ):
        get(proxy, path)


def test_requests_in_flight_are_counted_and_let_go_at_the_end(path: str, s3: dict) -> None:
    ended = []

    def wait() -> None:
        with connected(proxy) as connection:
            try:
                ask(connection, path)
            except ConnectionError as error:
                ended.append(error)

    threads = [threading.Thread(target=wait) for _ in range(5)]
    with FaultProxy(s3["client_kwargs"]["endpoint_url"]) as proxy:
        proxy.fail("hang", times=5)
        for thread in threads:
            thread.start()
        wait_until(lambda: proxy.count(outcome="hang") >= 5)
        assert get(proxy, path) == (200, BODY)
        assert proxy.most_in_flight == 6
    for thread in threads:
        thread.join(30)
    assert len(ended) == 5


def test_a_server_that_is_gone_is_a_bad_gateway() -> None:
    with FaultProxy("http://127.0.0.1:1") as proxy:
        assert get(proxy, "/bucket/key")[0] == 502


def test_s3fs_works_through_the_proxy(proxy, bucket: str, s3: dict) -> None:
    fs = s3fs.S3FileSystem(**proxy.options(s3))
    fs.pipe_file(f"{bucket}/a", BODY)
    faults = [proxy.fail("slow_down", method="GET", times=1), proxy.fail("truncate", times=1)]
    assert fs.cat_file(f"{bucket}/a") == BODY
    assert [fault.hits for fault in faults] == [1, 1]
    reads = [seen.outcome for seen in proxy.requests if seen.method == "GET"]
    assert reads == ["slow_down", "truncate", 200]


@pytest.fixture(scope="module")
def swift() -> Iterator[SwiftServer]:
    with SwiftServer() as server:
        yield server


def test_swift_takes_what_an_object_store_takes(swift: SwiftServer) -> None:
    fs = s3fs.S3FileSystem(**swift.storage_options)
    bucket = swift.create_bucket().removeprefix("s3://")
    for name in ("day=1/a", "day=1/b", "day=2/a"):
        fs.pipe_file(f"{bucket}/{name}", BODY)
    assert fs.cat_file(f"{bucket}/day=1/a") == BODY
    assert fs.cat_file(f"{bucket}/day=1/a", start=1000, end=2000) == BODY[1000:2000]
    with fs.open(f"{bucket}/day=1/b") as file:
        file.seek(-8, io.SEEK_END)
        assert file.read() == BODY[-8:]
    assert fs.ls(bucket) == [f"{bucket}/day=1", f"{bucket}/day=2"]
    assert fs.find(bucket) == [f"{bucket}/day=1/a", f"{bucket}/day=1/b", f"{bucket}/day=2/a"]
    assert fs.info(f"{bucket}/day=2/a")["size"] == len(BODY)
    fs.rm(f"{bucket}/day=1", recursive=True)
    assert fs.find(bucket) == [f"{bucket}/day=2/a"]
    with pytest.raises(FileNotFoundError):
        fs.cat_file(f"{bucket}/day=1/a")


def test_swift_takes_objects_of_many_parts(swift: SwiftServer) -> None:
    fs = s3fs.S3FileSystem(**swift.storage_options)
    path = f"{swift.create_bucket()}/large"
    with fs.open(path, "wb", block_size=5 * 2**20) as file:
        for _ in range(60):  # 12 MB
            file.write(BODY)
    assert fs.info(path)["size"] == 60 * len(BODY)
    assert fs.info(path)["ETag"].strip('"').endswith("-3")
    assert fs.cat_file(path) == 60 * BODY


def test_swift_checks_signatures_also_through_the_proxy(swift: SwiftServer) -> None:
    bucket = swift.create_bucket()
    with FaultProxy(swift.endpoint_url) as proxy:
        options = proxy.options(swift.storage_options)
        fs = s3fs.S3FileSystem(**options)
        fs.pipe_file(f"{bucket}/a", BODY)
        assert fs.cat_file(f"{bucket}/a") == BODY
        assert proxy.count() >= 2
        stranger = s3fs.S3FileSystem(**{**options, "secret": "not the secret"})
        with pytest.raises(PermissionError):
            stranger.cat_file(f"{bucket}/a")


def test_swift_is_well_again_when_a_stopped_server_is(swift: SwiftServer) -> None:
    bucket = swift.create_bucket().removeprefix("s3://")
    with signing(swift.endpoint_url, swift.key, swift.secret) as client:
        client.put_object(Bucket=bucket, Key="a", Body=BODY)
        swift.stop("object")
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            client.get_object(Bucket=bucket, Key="a")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
        swift.start("object")
        assert client.get_object(Bucket=bucket, Key="a")["Body"].read() == BODY


def test_only_writes_on_a_condition_are_made_one_at_a_time(monkeypatch) -> None:
    locked = []
    monkeypatch.setattr(
        s3_server, "_put_object", lambda _: locked.append(s3_server._one_at_a_time.locked())
    )
    for sent in ({}, {"HTTP_IF_NONE_MATCH": "*"}, {"HTTP_IF_MATCH": '"tag"'}):
        s3_server.put_object(SimpleNamespace(headers=EnvironHeaders(sent)))
    assert locked == [False, True, True]
