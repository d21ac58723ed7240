"""Aliases: append-only logs of moves, `aliases/<alias>/000001.json` and so on; the last counts.

A move is put under the number after the last one only if nothing lies there. So it succeeds only if
nobody has moved the alias since it was looked at, which is what compare-and-swap would give, on
every store that keeps writers apart. Moves are ordered by their numbers, never by a clock.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dkmeans.errors import ModelRefused
from dkmeans.registry.names import is_alias, number_name, number_of
from dkmeans.registry.records import (
    NUMBER_OR_NONE,
    Place,
    decode,
    encode,
    read_bytes,
)
from dkmeans.storage.conditional import put_if_absent
from dkmeans.storage.entries import Entry, entries_at

KIND = "registry move"
FOLDER = "aliases"
MOST_BEHIND = 100
"""How far back an alias remembers what it pointed to."""

_FIELDS = {
    "alias": (str,),
    "number": (int,),
    "version": (int,),
    "previous": NUMBER_OR_NONE,
    "behind": (list,),
    "rollback": (bool,),
    "reason": (str,),
    "who": (str,),
    "written": (str,),
    "id": (str,),
}


@dataclass(frozen=True)
class Move:
    """An alias began to point to a version."""

    alias: str
    """Its name."""

    number: int
    """From 1, in the order of the moves of this alias."""

    version: int
    """Where it has pointed to since."""

    previous: int | None
    """Where it pointed to before; None for its first move."""

    behind: tuple[int, ...]
    """Where rollbacks lead from here, the next one last."""

    is_rollback: bool
    """Whether it went back."""

    reason: str
    """Why."""

    who: str
    """Who moved it."""

    written: str
    """When, by that machine's clock."""

    moved: datetime | None = None
    """When, by the store's clock; None where that was not asked for."""

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, which JSON takes."""
        return {
            "alias": self.alias,
            "number": self.number,
            "version": self.version,
            "previous": self.previous,
            "behind": list(self.behind),
            "rollback": self.is_rollback,
            "reason": self.reason,
            "who": self.who,
            "written": self.written,
            "moved": None if self.moved is None else self.moved.isoformat(),
        }


def forward(
    at: Move | None, alias: str, version: int, *, reason: str, who: str, written: str
) -> Move:
    """Return the move of an alias from where it is to another version.

    A move to where it points already leaves what lies behind as it is.
    """
    if at is None:
        return Move(alias, 1, version, None, (), False, reason, who, written)
    behind = at.behind
    if version != at.version:
        behind = (*behind, at.version)[-MOST_BEHIND:]
    return Move(alias, at.number + 1, version, at.version, behind, False, reason, who, written)


def back(at: Move, *, reason: str, who: str, written: str) -> Move:
    """Return the move of an alias to where it pointed before it came to where it is.

    Going back again goes further back: what was left by going back is not gone to again.
    """
    *behind, version = at.behind
    return Move(
        at.alias, at.number + 1, version, at.version, tuple(behind), True, reason, who, written
    )


def head(place: Place, alias: str) -> Move | None:
    """Read the last move of an alias; None if there is no such alias."""
    found = _numbers(place, alias)
    return _read(place, alias, max(found)) if found else None


def after(place: Place, alias: str, number: int) -> Move | None:
    """Read the last move of an alias that came after a number; None if none did.

    One small request if none did: moves leave no number out.
    """
    found = None
    while (later := _read(place, alias, number + 1)) is not None:
        found, number = later, later.number
    return found


def heads(place: Place) -> dict[str, Move]:
    """Read the last move of every alias, by name."""
    names = [entry.name for entry in entries_at(place.at(FOLDER), place.options)]
    found = {name: head(place, name) for name in names if is_alias(name)}
    return {name: move for name, move in found.items() if move is not None}


def log(place: Place, alias: str) -> list[Move]:
    """Read all moves of an alias, the first one first."""
    moves = []
    for number, entry in sorted(_numbers(place, alias).items()):
        move = _read(place, alias, number)
        if move is not None:
            moves.append(replace(move, moved=entry.modified))
    return moves


def append(
    place: Place, alias: str, following: Callable[[Move | None], Move], *, is_alone: bool
) -> Move:
    """Write the move that follows the last one, whichever that is by then.

    Parameters
    ----------
    place
        The registry.
    alias
        The alias.
    following
        Returns the move that follows another, or raises what refuses it. Called again if somebody
        else was faster.
    is_alone
        Whether nobody else writes to the registry.
    """
    at = head(place, alias)
    while True:
        move = following(at)
        data = _encode(move)
        url = _url(place, alias, move.number)
        found = put_if_absent(url, data, place.options, is_alone=is_alone)
        if found == data:
            return move
        # not by a listing, which on some stores lags behind
        at = _decode(found, alias, move.number, url)
        while (later := _read(place, alias, at.number + 1)) is not None:
            at = later


def _url(place: Place, alias: str, number: int) -> str:
    return place.at(FOLDER, alias, number_name(number))


def _numbers(place: Place, alias: str) -> dict[int, Entry]:
    entries = entries_at(place.at(FOLDER, alias), place.options)
    return {n: entry for entry in entries if (n := number_of(entry.name)) is not None}


def _encode(move: Move) -> bytes:
    body = move.to_dict()
    del body["moved"]
    # tells this move from every other one that says the same
    return encode(KIND, {**body, "id": uuid.uuid4().hex})


def _read(place: Place, alias: str, number: int) -> Move | None:
    url = _url(place, alias, number)
    data = read_bytes(url, place.options)
    return None if data is None else _decode(data, alias, number, url)


def _decode(data: bytes, alias: str, number: int, url: str) -> Move:
    body = decode(KIND, data, url, _FIELDS)
    pointed = [body["version"], *body["behind"]]
    if (
        (body["alias"], body["number"]) != (alias, number)
        or len(pointed) > MOST_BEHIND + 1
        or not all(type(one) is int and one >= 1 for one in pointed)
    ):
        raise ModelRefused(f"move {number} of alias {alias!r} is damaged: it contradicts itself.")
    return Move(
        alias,
        number,
        body["version"],
        body["previous"],
        tuple(body["behind"]),
        body["rollback"],
        body["reason"],
        body["who"],
        body["written"],
    )
