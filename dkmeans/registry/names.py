"""What aliases, tags, attachments and runs may be called: names that are safe in any store."""

import getpass
import hashlib
import os
import re
import socket
import time
from datetime import UTC, datetime

from dkmeans.errors import ArgumentError

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NUMBER = re.compile(r"(\d{6,12})\.json")
_FOLDER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_MOST_RUN_ID = 256
_MOST_TEXT = 2000


def is_name(text: object) -> bool:
    """Whether something may name an alias, a tag or an attachment."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None and text not in (".", "..")


def is_alias(text: object) -> bool:
    """Whether something may name an alias; digits alone are a version."""
    return is_name(text) and not str(text).isdigit()


def is_folder(text: object) -> bool:
    """Whether something may name the folder of a version."""
    return isinstance(text, str) and _FOLDER.fullmatch(text) is not None


def check_name(text: object, what: str) -> str:
    """Return a name of a tag or an attachment.

    Raises
    ------
    ArgumentError
        If it cannot be one.
    """
    if not is_name(text):
        raise ArgumentError(
            f"{what} {text!r} should be 1 to 64 letters, digits, dots, underscores and hyphens, "
            "and neither '.' nor '..'."
        )
    return str(text)


def check_alias(text: object) -> str:
    """Return the name of an alias; errors as `check_name`."""
    name = check_name(text, "alias")
    if name.isdigit():
        raise ArgumentError(f"alias {name!r} would be taken for a version; add a letter.")
    return name


def check_run_id(text: object) -> str:
    """Return the name of a run; errors as `check_name`."""
    if not isinstance(text, str) or not 1 <= len(text) <= _MOST_RUN_ID:
        raise ArgumentError(f"run_id={text!r} should be a text of 1 to {_MOST_RUN_ID} characters.")
    _check_encodable(text, "run_id")
    return text


def check_text(text: object, what: str) -> str:
    """Return a text for people, as a reason; errors as `check_name`."""
    if not isinstance(text, str) or len(text) > _MOST_TEXT:
        raise ArgumentError(f"{what} should be a text of at most {_MOST_TEXT} characters.")
    _check_encodable(text, what)
    return text


def check_reason(text: object) -> str:
    """Return why an alias moves; errors as `check_name`."""
    reason = check_text(text, "the reason")
    if not reason.strip():
        raise ArgumentError("the reason is empty; say why the alias moves.")
    return reason


def number_name(number: int) -> str:
    """Return the name of the file of a number."""
    return f"{number:06d}.json"


def number_of(name: str) -> int | None:
    """Return the number whose file has a name; None if it is no such file's."""
    found = _NUMBER.fullmatch(name)
    number = int(found[1]) if found is not None else 0
    return number if number >= 1 and number_name(number) == name else None


def key_of(run_id: str) -> str:
    """Return a name of a run that is safe in any store, and unlike that of every other run."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", run_id)[:40].strip(".-")
    return "-".join([*([readable] if readable else []), short_hash(run_id.encode())])


def short_hash(data: bytes) -> str:
    """Return a part of a hash that is long enough for a name."""
    return hashlib.sha256(data).hexdigest()[:16]


def whoami() -> str:
    """Return who does this, as records keep it: user and machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # containers run under numbers that have no name
        user = f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
    return f"{user}@{socket.gethostname()}"


def now() -> str:
    """Return the time by this machine's clock, for people: nothing is ordered by it."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")


def _check_encodable(text: str, what: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"{what} has characters that cannot be stored.") from None
