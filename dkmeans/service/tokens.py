"""Bearer tokens: who may ask."""

import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from dkmeans.errors import ArgumentError
from dkmeans.service.refusals import Refusal
from dkmeans.storage.secrets import hide

VARIABLE = "DKMEANS_TOKEN"
"""The variable of the environment that holds a token."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{16,512}=*")
_MOST_FILE_BYTES = 64 * 1024
_LOOK_SECONDS = 1.0
_REMEDY = "make one by: openssl rand -hex 32"


class Tokens:
    """The tokens that are accepted.

    Parameters
    ----------
    path
        A file with a token on each line, so that a new one is accepted before the old one is no
        longer sent. Read anew when it changes; what it held last counts where it cannot be.
    token
        The only token, where there is no file.
    say
        Told, in a sentence, that a changed file was read, or could not be.

    Raises
    ------
    ArgumentError
        If the file cannot be read, or holds no token, or one that is too short.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        token: str | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._path, self._say = None if path is None else Path(path), say
        self._stamp: tuple[int, ...] | None = None
        self._looked = time.monotonic()
        if self._path is None:
            self._digests: tuple[bytes, ...] = (_digest(_checked(token or "", VARIABLE)),)
        else:
            self._stamp = self._stamp_now()
            self._digests = _read(self._path)

    def check(self, authorization: bytes | None) -> None:
        """Refuse a request without a token, or with a wrong one.

        Parameters
        ----------
        authorization
            The header of that name; None if there is none.

        Raises
        ------
        Refusal
            If the token is none of ours, with status 401.
        """
        self._look()
        if authorization is None:
            raise _unauthorized("the request has no token; send Authorization: Bearer TOKEN.")
        scheme, _, given = authorization.partition(b" ")
        # a hash is as long whatever was given, and all are compared, whichever is right
        digest, is_known = hashlib.sha256(given.strip()).digest(), False
        for known in self._digests:
            is_known |= hmac.compare_digest(digest, known)
        if scheme.lower() != b"bearer" or not is_known:
            raise _unauthorized("the token is none that is accepted here.", is_wrong=True)

    def _look(self) -> None:
        """Read the file again if it has changed; look once a second at most."""
        if self._path is None or time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._digests = _read(self._path)
        except ArgumentError as error:
            self._say(f"the tokens stay what they were: {error}")
        else:
            self._say(f"tokens read from {self._path}: {len(self._digests)}")

    def _stamp_now(self) -> tuple[int, ...] | None:
        try:
            found = os.stat(self._path or "")
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> tuple[bytes, ...]:
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_FILE_BYTES + 1)
    except OSError as error:
        raise ArgumentError(
            f"the token file {path} cannot be read ({error.strerror}); check the path and its "
            "permissions."
        ) from None
    if len(data) > _MOST_FILE_BYTES:
        raise ArgumentError(f"the token file {path} has more than {_MOST_FILE_BYTES} bytes.")
    lines = [line.strip() for line in data.decode("latin-1").splitlines()]
    tokens = [
        _checked(line, f"line {number} of the token file {path}")
        for number, line in enumerate(lines, 1)
        if line
    ]
    if not tokens:
        raise ArgumentError(f"the token file {path} holds no token; {_REMEDY}")
    return tuple(map(_digest, tokens))


def _checked(token: str, where: str) -> str:
    # the token itself is never shown
    if not _TOKEN.fullmatch(token):
        raise ArgumentError(
            f"{where} should hold 16 to 512 letters, digits and -._~+/ without spaces; {_REMEDY}"
        )
    hide(token)
    return token


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _unauthorized(message: str, *, is_wrong: bool = False) -> Refusal:
    challenge = b'Bearer realm="dkmeans"' + (b', error="invalid_token"' if is_wrong else b"")
    return Refusal(401, "unauthorized", message, headers=[(b"www-authenticate", challenge)])
