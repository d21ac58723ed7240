"""POST JSON to a web address: bounded in time and attempts, without following redirects."""

import base64
import queue
import random
import threading
import time
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, OpenerDirector, Request, build_opener

from dkmeans.storage.filesystem import one_line

_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 8.0
_AGAIN = {408, 425, 429, 500, 502, 503, 504}
"""Replies after which another attempt may succeed."""


class _NoRedirects(HTTPRedirectHandler):
    """Takes a redirect for the failure that it is: a POST would become a GET without its body."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""
        return


def post(
    url: str, data: bytes, *, token: str | None = None, seconds: float, attempts: int
) -> tuple[int, str | None]:
    """POST JSON until it is taken.

    Parameters
    ----------
    url
        http or https; user and password in it are sent as basic authentication.
    data
        The JSON.
    token
        Sent as `Authorization: Bearer`.
    seconds
        For one attempt, from looking up the host to the status of the reply.
    attempts
        Most attempts.

    Returns
    -------
    tuple of int and str
        Attempts made, and in one sentence why the last one failed; None if it did not.
    """
    request = _request(url, data, token)
    opener = build_opener(_NoRedirects)
    reason: str | None = None
    for attempt in range(1, attempts + 1):
        reason, is_worth_another = _attempted(opener, request, seconds)
        if reason is None or not is_worth_another or attempt == attempts:
            return attempt, reason
        most = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** (attempt - 1))
        time.sleep(random.uniform(0, most))
    return attempts, reason


def _request(url: str, data: bytes, token: str | None) -> Request:
    parts = urlsplit(url)
    headers = {"Content-Type": "application/json", "User-Agent": "dkmeans"}
    if parts.username is not None:
        pair = f"{parts.username}:{parts.password or ''}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    return Request(bare, data, headers, method="POST")


def _attempted(opener: OpenerDirector, request: Request, seconds: float) -> tuple[str | None, bool]:
    """Make one attempt: why it failed, and whether another may succeed.

    In a thread of its own, since sockets have limits for each of their operations only: a server
    that sends a byte now and then would keep us for ever.
    """
    replies: queue.SimpleQueue[tuple[str | None, bool]] = queue.SimpleQueue()

    def act() -> None:
        replies.put(_opened(opener, request, seconds))

    threading.Thread(target=act, name="dkmeans-webhook", daemon=True).start()
    try:
        return replies.get(timeout=seconds)
    except queue.Empty:
        return f"no reply within {seconds:g} s.", True


def _opened(opener: OpenerDirector, request: Request, seconds: float) -> tuple[str | None, bool]:
    try:
        with opener.open(request, timeout=seconds):
            # what it replies beyond its status is of no interest, and may be endless
            return None, False
    except HTTPError as error:
        with error:
            if 300 <= error.code < 400:
                return (
                    f"the server redirects elsewhere (HTTP {error.code}), which is not followed; "
                    "use the address that it redirects to.",
                    False,
                )
            return f"the server refuses (HTTP {error.code}).", error.code in _AGAIN
    except TimeoutError:
        return f"no reply within {seconds:g} s.", True
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            return f"no reply within {seconds:g} s.", True
        return f"the server cannot be reached: {one_line(error.reason)}.", True
    except Exception as error:
        return f"no proper reply: {type(error).__name__}: {one_line(error)}.", True
