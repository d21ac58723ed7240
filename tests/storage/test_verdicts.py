"""Errors of stores, as their libraries raise them, and what each means."""

import aiohttp
import fsspec.exceptions
import pytest
from botocore import exceptions as boto
from s3fs.errors import translate_boto_error

from dkmeans.storage.verdicts import ShortRead, Verdict, judge


def refusal(code, status=400, operation="GetObject"):
    """What botocore makes of a reply that is an error."""
    return boto.ClientError(
        {
            "Error": {"Code": code, "Message": "words"},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        operation,
    )


def as_s3fs_raises(error):
    return translate_boto_error(error)


CODES = [
    ("SlowDown", 503, Verdict.SLOW_DOWN),
    ("ServiceUnavailable", 503, Verdict.SLOW_DOWN),
    ("Throttling", 400, Verdict.SLOW_DOWN),
    ("RequestLimitExceeded", 503, Verdict.SLOW_DOWN),
    ("TooManyRequests", 429, Verdict.SLOW_DOWN),
    ("InternalError", 500, Verdict.AGAIN),
    ("RequestTimeout", 400, Verdict.AGAIN),
    ("XAmzContentSHA256Mismatch", 400, Verdict.AGAIN),
    ("ExpiredToken", 400, Verdict.NEW_CREDENTIALS),
    ("TokenRefreshRequired", 400, Verdict.NEW_CREDENTIALS),
    ("PreconditionFailed", 412, Verdict.CHANGED),
    ("AccessDenied", 403, Verdict.FAIL),
    ("InvalidAccessKeyId", 403, Verdict.FAIL),
    ("SignatureDoesNotMatch", 403, Verdict.FAIL),
    ("NoSuchKey", 404, Verdict.FAIL),
    ("NoSuchBucket", 404, Verdict.FAIL),
    ("InvalidRange", 416, Verdict.FAIL),
    ("SomethingNew", 500, Verdict.AGAIN),
    ("SomethingNew", 502, Verdict.AGAIN),
    ("SomethingNew", 503, Verdict.SLOW_DOWN),
    ("SomethingNew", 400, Verdict.FAIL),
]


@pytest.mark.parametrize(("code", "status", "verdict"), CODES)
@pytest.mark.parametrize("translate", [lambda error: error, as_s3fs_raises])
def test_replies_of_s3_are_judged_by_code_and_status(code, status, verdict, translate):
    assert judge(translate(refusal(code, status))) is verdict


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (500, Verdict.AGAIN),
        (503, Verdict.SLOW_DOWN),
        (412, Verdict.CHANGED),
        (403, Verdict.FAIL),
        (404, Verdict.FAIL),
    ],
)
def test_replies_without_a_body_are_judged_by_their_status(status, verdict):
    # a HEAD has no room for a code
    error = refusal(str(status), status, "HeadObject")
    assert judge(error) is judge(as_s3fs_raises(error)) is verdict


@pytest.mark.parametrize(
    "error",
    [
        boto.ReadTimeoutError(endpoint_url="http://a"),
        boto.ConnectionClosedError(endpoint_url="http://a"),
        boto.HTTPClientError(error="x"),
        boto.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        boto.ResponseStreamingError(error="x"),
        boto.FlexibleChecksumError(error_msg="x"),
        aiohttp.ClientPayloadError("x"),
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError("x"),
        aiohttp.ServerTimeoutError(),
        fsspec.exceptions.FSTimeoutError(),
        ConnectionResetError(104, "reset"),
        BrokenPipeError(),
        TimeoutError(),
        ShortRead("3 bytes came where 4 were asked for"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_breaks_on_the_way_is_tried_again(error):
    assert judge(error) is Verdict.AGAIN


@pytest.mark.parametrize(
    "error",
    [
        boto.EndpointConnectionError(endpoint_url="http://a"),
        boto.ConnectTimeoutError(endpoint_url="http://a"),
        ConnectionRefusedError(111, "refused"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_nobody_who_answers_is_told_from_a_line_that_breaks(error):
    assert judge(error) is Verdict.NO_CONTACT


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("a"),
        PermissionError("a"),
        IsADirectoryError("a"),
        boto.NoCredentialsError(),
        boto.PartialCredentialsError(provider="p", cred_var="v"),
        ValueError("a bug"),
        KeyError("a bug"),
        OSError("disk full"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_trying_again_does_not_mend_fails(error):
    assert judge(error) is Verdict.FAIL


@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ("AWS Error SLOW_DOWN during GetObject operation: Please reduce", Verdict.SLOW_DOWN),
        ("AWS Error NETWORK_CONNECTION during HeadObject operation: curlCode: 56", Verdict.AGAIN),
        ("AWS Error INTERNAL_FAILURE during GetObject operation: We", Verdict.AGAIN),
        ("AWS Error EXPIRED_TOKEN during GetObject operation: The", Verdict.NEW_CREDENTIALS),
        ("AWS Error ACCESS_DENIED during HeadObject operation: No", Verdict.FAIL),
        (
            "AWS Error UNKNOWN (HTTP status 502) during GetObject operation: Unable",
            Verdict.AGAIN,
        ),
        ("AWS Error UNKNOWN (HTTP status 503) during GetObject operation: x", Verdict.SLOW_DOWN),
        ("AWS Error UNKNOWN (HTTP status 400) during GetObject operation: x", Verdict.FAIL),
        (
            "AWS Error UNKNOWN (HTTP status 400) during GetObject operation: Unable to parse "
            "ExceptionName: ExpiredToken Message: The provided token has expired.",
            Verdict.NEW_CREDENTIALS,
        ),
    ],
)
def test_errors_of_arrow_are_judged_by_the_code_in_their_words(words, verdict):
    error = OSError(f"When reading information for key 'a' in bucket 'b': {words}")
    assert judge(error) is verdict


def test_statuses_of_other_stores_are_judged_too():
    for status, verdict in (
        (429, Verdict.SLOW_DOWN),
        (503, Verdict.SLOW_DOWN),
        (502, Verdict.AGAIN),
    ):
        error = aiohttp.ClientResponseError(None, (), status=status)
        assert judge(error) is verdict
    assert judge(aiohttp.ClientResponseError(None, (), status=403)) is Verdict.FAIL


def test_the_reason_behind_an_error_counts():
    outer = OSError("it failed")
    outer.__cause__ = refusal("SlowDown", 503)
    assert judge(outer) is Verdict.SLOW_DOWN
    missing = FileNotFoundError("as a library puts it")
    missing.__context__ = refusal("ExpiredToken")
    assert judge(missing) is Verdict.NEW_CREDENTIALS


def test_errors_that_refer_to_each_other_come_to_an_end():
    first, second = OSError("a"), OSError("b")
    first.__cause__, second.__cause__ = second, first
    assert judge(first) is Verdict.FAIL
