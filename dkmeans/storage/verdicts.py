"""What an error of a store means: try again, slow down, renew the credentials, or give up."""

import enum
import re
from collections.abc import Iterator

import fsspec.exceptions


class Verdict(enum.Enum):
    """What to do about a failed request."""

    AGAIN = "again"
    SLOW_DOWN = "slow down"
    NEW_CREDENTIALS = "new credentials"
    CHANGED = "changed"
    """The object is not the one that was asked for any more."""

    NO_CONTACT = "no contact"
    """Nobody answers: an outage, or a wrong address."""

    FAIL = "fail"


class ShortRead(OSError):
    """A store sent fewer bytes than it was asked for."""


_BY_CODE = {
    **dict.fromkeys(
        (
            "SlowDown", "Throttling", "ThrottlingException", "ThrottledException",
            "RequestLimitExceeded", "RequestThrottled", "TooManyRequests", "BandwidthLimitExceeded",
            "ServiceUnavailable", "SLOW_DOWN", "THROTTLING", "SERVICE_UNAVAILABLE", "429", "503",
        ),
        Verdict.SLOW_DOWN,
    ),
    **dict.fromkeys(
        (
            "InternalError", "InternalServerError", "RequestTimeout", "RequestTimeoutException",
            "OperationAborted", "ConditionalRequestConflict", "BadDigest", "IncompleteBody",
            "INTERNAL_FAILURE", "REQUEST_TIMEOUT", "NETWORK_CONNECTION", "500", "502", "504", "408",
            "XAmzContentSHA256Mismatch",
        ),
        Verdict.AGAIN,
    ),
    **dict.fromkeys(
        (
            "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired",
            "InvalidToken", "EXPIRED_TOKEN",
        ),
        Verdict.NEW_CREDENTIALS,
    ),
    **dict.fromkeys(("PreconditionFailed", "412"), Verdict.CHANGED),
}  # fmt: skip

_NO_CONTACT = ("EndpointConnectionError", "ClientConnectorError", "ConnectionRefusedError",
               "ConnectTimeoutError", "gaierror")  # fmt: skip

_BROKEN = (
    "HTTPClientError", "ConnectionClosedError", "ConnectionError", "ReadTimeoutError",
    "ResponseParserError", "IncompleteReadError", "IncompleteRead", "ClientPayloadError",
    "ServerDisconnectedError", "ClientOSError", "ServerTimeoutError", "TimeoutError",
    "ConnectionResetError", "BrokenPipeError", "FlexibleChecksumError", "ProtocolError",
    "ResponseStreamingError", "ContentLengthError",
)  # fmt: skip

_ARROW_CODE = re.compile(r"AWS Error (\w+) during|HTTP status (\d{3})|ExceptionName: (\w+)")
_PERMANENT = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def judge(error: BaseException) -> Verdict:
    """Say what an error of a store means, by its code where it has one, else by its kind."""
    for link in _chain(error):
        for code in _codes(link):
            if code in _BY_CODE:
                return _BY_CODE[code]
    for link in _chain(error):
        names = {kind.__name__ for kind in type(link).__mro__}
        if names & set(_NO_CONTACT):
            return Verdict.NO_CONTACT
        if isinstance(link, _PERMANENT):
            return Verdict.FAIL
        if isinstance(link, (ShortRead, fsspec.exceptions.FSTimeoutError)) or names & set(_BROKEN):
            return Verdict.AGAIN
    return Verdict.FAIL


def is_bare(error: BaseException) -> bool:
    """Whether it is a reply of status 400 that has no code."""
    responses = [getattr(link, "response", None) for link in _chain(error)]
    bare = any(
        isinstance(one, dict) and str(one.get("Error", {}).get("Code")) == "400"
        for one in responses
    )
    return bare or "AWS Error UNKNOWN (HTTP status 400)" in str(error)


def is_empty(error: BaseException) -> bool:
    """Whether a range was refused because an object has no bytes."""
    return any(code in ("InvalidRange", "416") for link in _chain(error) for code in _codes(link))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _codes(error: BaseException) -> Iterator[str]:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        yield str(response.get("Error", {}).get("Code"))
        yield str(response.get("ResponseMetadata", {}).get("HTTPStatusCode"))
    for name in ("status", "code", "status_code"):
        value = getattr(error, name, None)
        if isinstance(value, (int, str)):
            yield str(value)
            break
    if isinstance(error, OSError):
        for found in _ARROW_CODE.finditer(str(error)):
            yield from (code for code in found.groups() if code)
