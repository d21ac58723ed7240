"""Does a store keep writers apart? Tried, not believed: some that answer as if they did, do not."""

import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from dkmeans.errors import ModelRefused, StoreUnfit
from dkmeans.registry.names import now, whoami
from dkmeans.registry.records import NewerFormat, Place, encode, read
from dkmeans.storage.access import OURS
from dkmeans.storage.atomic import write_bytes
from dkmeans.storage.conditional import put_if_absent
from dkmeans.storage.entries import entries_at
from dkmeans.storage.filesystem import recall, remember
from dkmeans.storage.objects import read_bytes, remove

WRITERS = 8
ROUNDS = 8
_FIELDS = {
    "second_refused": (bool,),
    "winners": (list,),
    "lists_at_once": (bool,),
    "single_writer": (bool,),
    "who": (str,),
    "written": (str,),
}
_KIND = "registry"
_FILE = "registry.json"
_LONGEST_START_SECONDS = 600


@dataclass(frozen=True)
class Check:
    """What was found out about the store of a registry."""

    second_refused: bool
    """Whether it refused to create a file that was there."""

    winners: tuple[int, ...]
    """How many of eight writers that wrote one file at a time were told, in each round, that it is
    theirs, and then read what they wrote. One is right."""

    lists_at_once: bool
    """Whether listings showed what had just been written."""

    is_single_writer: bool
    """Whether somebody has declared that nothing else ever writes to this registry."""

    who: str
    """Who tried it."""

    written: str
    """When, by that machine's clock."""

    @property
    def passed(self) -> bool:
        """Whether writers may publish and move aliases at the same time."""
        one_each = bool(self.winners) and all(n == 1 for n in self.winners)
        return self.second_refused and self.lists_at_once and one_each

    @property
    def reason(self) -> str:
        """What is wrong, as a sentence's end; empty if nothing is."""
        if not self.second_refused:
            return "it does not refuse to create what is there already"
        wrong = [n for n in self.winners if n != 1]
        if wrong:
            return (
                f"in {len(wrong)} of {len(self.winners)} races of {WRITERS} writers for one file "
                f"up to {max(wrong)} were told that they had won"
            )
        return "" if self.lists_at_once else "its listings lag behind its writes"

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, which JSON takes."""
        return {
            "passed": self.passed,
            "reason": self.reason,
            "second_refused": self.second_refused,
            "winners": list(self.winners),
            "lists_at_once": self.lists_at_once,
            "single_writer": self.is_single_writer,
            "who": self.who,
            "written": self.written,
        }


def probe(place: Place, *, is_single_writer: bool | None) -> Check:
    """Try the store with files that are removed again, and keep the result in the registry.

    With None, it stays as it is whether there is a single writer.
    """
    if is_single_writer is None:
        is_single_writer = _is_declared(place)
    folder = place.at(f"check-{uuid.uuid4().hex}")
    try:
        check = _try(folder, place.options)
    finally:
        remove(folder, place.options)
    check = replace(check, is_single_writer=is_single_writer)
    body: Mapping[str, Any] = {key: check.to_dict()[key] for key in _FIELDS}
    write_bytes(place.at(_FILE), encode(_KIND, body), place.options)
    return check


def last_check(place: Place) -> Check | None:
    """Read the last result; None if the store was not tried."""
    body = read(_KIND, place.at(_FILE), place.options, _FIELDS)
    if body is None:
        return None
    return Check(
        body["second_refused"],
        tuple(body["winners"]),
        body["lists_at_once"],
        body["single_writer"],
        body["who"],
        body["written"],
    )


def is_alone(place: Place) -> bool:
    """Return whether we are declared the only writer, after trying the store if nobody has.

    Raises
    ------
    StoreUnfit
        If we may not be, and the store does not keep writers apart.
    """
    check = last_check(place) or probe(place, is_single_writer=None)
    if check.is_single_writer or check.passed:
        return not check.passed
    raise StoreUnfit(
        f"the store of {place} does not keep writers apart: {check.reason}. Put the registry on "
        "another store; or, if a single process writes to it at a time, declare that by: dkmeans "
        "models check URL --single-writer."
    )


def _is_declared(place: Place) -> bool:
    try:
        before = last_check(place)
    except NewerFormat:
        raise
    except ModelRefused:
        # it is about to be written anew
        return False
    return before is not None and before.is_single_writer


def _try(folder: str, options: str) -> Check:
    try:
        refused = _refuses_the_second(f"{folder}/first", options)
        winners = _races(folder, options) if refused else []
    except StoreUnfit:
        refused, winners = False, []
    write_bytes(f"{folder}/listed", b"listed", options)
    listed = "listed" in [entry.name for entry in entries_at(folder, options)]
    return Check(refused, tuple(winners), listed, False, whoami(), now())


def _refuses_the_second(url: str, options: str) -> bool:
    first = put_if_absent(url, b"first", options)
    second = put_if_absent(url, b"second", options)
    return first == second == b"first" and read_bytes(url, options) == b"first"


def _races(folder: str, options: str) -> list[int]:
    """How many of the writers of one file are told that they have won, in each of some rounds."""
    known = recall(options)
    if known:
        # all at a time, however few requests the job may have under way
        ours = {**known.get(OURS, {}), "requests": WRITERS}
        options = remember({**known, OURS: ours})
    start = threading.Barrier(WRITERS)

    def write(number: int, turn: int) -> bool:
        data = f"writer {number}".encode()
        start.wait(_LONGEST_START_SECONDS)
        return put_if_absent(f"{folder}/race-{turn}", data, options) == data

    # the same threads in all rounds: each connects to the store anew
    with ThreadPoolExecutor(WRITERS) as writers:
        return [sum(writers.map(write, range(WRITERS), [turn] * WRITERS)) for turn in range(ROUNDS)]
