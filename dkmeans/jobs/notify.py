"""Tell people and programs how a run ended: by a webhook, or by a command.

A notification that fails never fails the job: what became of each is returned, for the record.
Webhooks may hear of the same run twice, where a reply was lost; the `id` in what they get tells.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from dkmeans.errors import ArgumentError
from dkmeans.evaluation.shown import plain
from dkmeans.jobs.attempt import Attempt
from dkmeans.jobs.commands import run_command
from dkmeans.jobs.run_record import RunRecord
from dkmeans.jobs.webhooks import post
from dkmeans.storage.filesystem import one_line
from dkmeans.storage.secrets import hide, scrub, scrubbed

When = Literal["always", "trouble", "refused", "drift", "failed", "stopped", "done"]
"""Outcomes of runs; trouble: all but "done" and "nothing to do"."""

WHEN: tuple[When, ...] = ("always", "trouble", "refused", "drift", "failed", "stopped", "done")

_LONGEST_SENTENCE = 300


@dataclass(frozen=True)
class Notified:
    """What became of a notification."""

    target: str
    """Where it went: the webhook's host, or the command's program."""

    ok: bool
    """Whether it was taken."""

    attempts: int
    seconds: float
    reason: str | None
    """Why it failed, in one sentence; None if it did not."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


class Target(Protocol):
    """Something that can be told."""

    @property
    def when(self) -> tuple[When, ...]:
        """The outcomes that it is told of."""
        ...

    @property
    def name(self) -> str:
        """What it is called in records: without secrets."""
        ...

    def tell(self, data: bytes) -> tuple[int, str | None]:
        """Hand over JSON; return attempts made and why it failed, None if it did not."""
        ...


@dataclass(frozen=True)
class Webhook:
    """POSTs JSON to a URL. Redirects are not followed: the message may be for one host alone."""

    url: str | None = None
    url_env: str | None = None
    """Variable of the environment that holds the URL, so that no file has to: the paths of many
    webhooks are secrets."""

    token_env: str | None = None
    """Variable that holds a token, to be sent as `Authorization: Bearer`; None for no token."""

    timeout_seconds: float = 10.0
    """For all of one attempt."""

    attempts: int = 3
    when: tuple[When, ...] = ("trouble",)

    def __post_init__(self) -> None:
        _check_when(self.when)
        _check_seconds(self.timeout_seconds)
        if not isinstance(self.attempts, int) or not 1 <= self.attempts <= 10:
            raise ArgumentError(
                f"notify: attempts={self.attempts!r} should be a whole number from 1 to 10."
            )
        if (self.url is None) == (self.url_env is None):
            raise ArgumentError("notify: a webhook needs one of url and url_env; give one of them.")
        if self.url is not None:
            _check_url(self.url, "url")

    @property
    def name(self) -> str:
        """The host; the path may be a secret."""
        if self.url is None:
            return f"webhook ${self.url_env}"
        parts = urlsplit(self.url)
        return f"webhook {parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def tell(self, data: bytes) -> tuple[int, str | None]:
        """POST it, several times if need be."""
        url = self.url
        if url is None:
            url = os.environ.get(self.url_env or "")
            if not url:
                return 0, f"the variable {self.url_env} is not set; set it to the webhook's URL."
            _check_url(url, f"${self.url_env}")
        token = None
        if self.token_env is not None:
            token = os.environ.get(self.token_env)
            if not token:
                return 0, f"the variable {self.token_env} is not set; set it to the token."
            hide(token)
        _hide_url(url)
        return post(url, data, token=token, seconds=self.timeout_seconds, attempts=self.attempts)


@dataclass(frozen=True)
class Command:
    """Runs a program, without a shell, with JSON on its standard input."""

    arguments: tuple[str, ...]
    """The program and its arguments, as they are: nothing is expanded."""

    timeout_seconds: float = 30.0
    when: tuple[When, ...] = ("trouble",)

    def __post_init__(self) -> None:
        _check_when(self.when)
        _check_seconds(self.timeout_seconds)
        texts = self.arguments
        if (
            not isinstance(texts, tuple)
            or not texts
            or not all(isinstance(one, str) and "\0" not in one for one in texts)
            or not texts[0]
        ):
            raise ArgumentError(
                f"notify: command={texts!r} should be a list of texts, the program first; "
                "write command: [mail, -s, dkmeans, ops@example.org]."
            )

    @property
    def name(self) -> str:
        """The program; arguments may be secrets."""
        return f"command {os.path.basename(self.arguments[0])}"

    def tell(self, data: bytes) -> tuple[int, str | None]:
        """Run it once."""
        return 1, run_command(self.arguments, data, seconds=self.timeout_seconds)


def notify(targets: Iterable[Target], record: RunRecord) -> tuple[Notified, ...]:
    """Tell the targets that want to know how a run ended.

    Parameters
    ----------
    targets
        Webhooks and commands, told one after the other.
    record
        How it ended; `message` makes what is sent of it.

    Returns
    -------
    tuple of Notified
        What became of each that wanted to know. None raises.
    """
    data = json.dumps(message(record), allow_nan=False).encode()
    return tuple(_told(one, data) for one in targets if wants(one.when, record.outcome))


def tell(targets: Iterable[Target], attempt: Attempt) -> tuple[Notified, ...]:
    """Tell the targets how an attempt has ended, and add to its record what became of that."""
    found = notify(targets, attempt.record)
    attempt.notified(*(one.to_dict() for one in found))
    return found


def message(record: RunRecord) -> dict[str, Any]:
    """Return what targets are sent: how the run ended, and why."""
    verdict = record.verdict or {}
    judgments = verdict.get("judgments", ())
    reasons = [
        str(one.get("reason"))
        for one in judgments
        if isinstance(one, Mapping) and not one.get("passed")
    ]
    said = f"dkmeans: {record.task} {record.job}: {record.outcome}"
    found: dict[str, Any] = {
        # chats show it, without knowing more of us
        "text": f"{said}. {record.error or ' '.join(reasons)}".strip(),
        "id": f"{record.run_id}/{record.attempt}",
        "job": record.job,
        "task": record.task,
        "run_id": record.run_id,
        "attempt": record.attempt,
        "outcome": record.outcome,
        "exit_code": record.exit_code,
        "started": record.started,
        "ended": record.ended,
        "error": record.error,
        "reasons": reasons,
        "figures": dict(record.figures),
        "model_version": record.model_version,
        "champion_version": record.champion_version,
        "rows": record.rows,
        "seconds": record.seconds,
    }
    cleaned: dict[str, Any] = scrubbed(plain(found))
    return cleaned


def wants(when: Iterable[str], outcome: str) -> bool:
    """Whether a target that is told of `when` is told of an outcome."""
    of = set(when)
    is_trouble = outcome not in ("done", "nothing to do")
    return "always" in of or outcome in of or ("trouble" in of and is_trouble)


def _told(target: Target, data: bytes) -> Notified:
    start = time.monotonic()
    try:
        attempts, reason = target.tell(data)
    except Exception as error:
        # whatever it is, the job is more important
        attempts, reason = 1, f"{type(error).__name__}: {one_line(error)}"
    seconds = time.monotonic() - start
    if reason is not None:
        reason = scrub(reason)
        if len(reason) > _LONGEST_SENTENCE:
            reason = f"{reason[:_LONGEST_SENTENCE]}..."
    return Notified(scrub(target.name), reason is None, attempts, round(seconds, 3), reason)


def _check_when(when: Any) -> None:
    if not isinstance(when, tuple) or not when or not set(when) <= set(WHEN):
        raise ArgumentError(f"notify: when={when!r} should be among {', '.join(WHEN)}.")


def _check_seconds(seconds: Any) -> None:
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds <= 600:
        raise ArgumentError(
            f"notify: timeout_seconds={seconds!r} should be above 0, and at most 600."
        )


def _check_url(url: Any, name: str) -> None:
    """Refuse what is no web address; its value is not shown: it may hold a secret."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_good = is_good and (parts.port is None or parts.port > 0) and url.isprintable()
    except (ValueError, AttributeError, TypeError):
        is_good = False
    if not is_good or " " in url:
        raise ArgumentError(
            f"notify: {name} should be the URL of a webhook, as https://host/path; correct it."
        )


def _hide_url(url: str) -> None:
    """Have the URL's path, query and password not be shown by what comes after."""
    parts = urlsplit(url)
    for part in (url, parts.path, parts.query, parts.password or "", parts.username or ""):
        if len(part) > 8:
            hide(part)
