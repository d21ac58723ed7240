"""Where aliases point, and how they are made to point elsewhere."""

from typing import Literal

from dkmeans.errors import AliasMoved, ArgumentError, MissingInput
from dkmeans.registry import moves, publish, versions
from dkmeans.registry.moves import Move
from dkmeans.registry.names import check_alias, check_reason, is_alias, now
from dkmeans.registry.records import Place

Expected = int | None | Literal["any"]
"""Where an alias must point before it is moved; None if it must not exist."""


def resolve(place: Place, ref: int | str) -> int:
    """Return the version that an alias points to now; a number is itself.

    Raises
    ------
    MissingInput
        If there is no such alias.
    """
    if type(ref) is int or (isinstance(ref, str) and ref.isdecimal()):
        return int(ref)
    if not is_alias(ref):
        raise ArgumentError(f"{ref!r} is neither a version nor the name of an alias.")
    move = moves.head(place, str(ref))
    if move is None:
        raise MissingInput(_unknown(place, str(ref)))
    return move.version


def move(
    place: Place,
    alias: str,
    version: int | str,
    *,
    reason: str,
    who: str,
    expected: Expected,
    is_alone: bool,
) -> Move:
    """Have an alias point to a version whose model is there and whole.

    Parameters and errors are those of `Registry.move`; `is_alone` if a single writer is declared.
    """
    check_alias(alias)
    check_reason(reason)
    number = resolve(place, version)
    _check_whole(place, number)

    def following(at: Move | None) -> Move:
        found = None if at is None else at.version
        if expected not in ("any", found):
            raise _moved(alias, found, expected)
        return moves.forward(at, alias, number, reason=reason, who=who, written=now())

    done = moves.append(place, alias, following, is_alone=is_alone)
    _give_up_if_removed(place, done, is_alone)
    return done


def rollback(place: Place, alias: str, *, reason: str, who: str, is_alone: bool) -> Move:
    """Have an alias point to what it pointed to before; see `Registry.rollback`."""
    check_alias(alias)
    check_reason(reason)
    seen = moves.head(place, alias)
    if seen is None:
        raise MissingInput(_unknown(place, alias))
    if not seen.behind:
        raise ArgumentError(
            f"alias {alias!r} pointed to nothing before version {seen.version}; promote "
            "another version."
        )
    _check_whole(place, seen.behind[-1])

    def following(at: Move | None) -> Move:
        if at is None or at.number != seen.number:
            raise _moved(alias, None if at is None else at.version, seen.version)
        return moves.back(at, reason=reason, who=who, written=now())

    done = moves.append(place, alias, following, is_alone=is_alone)
    _give_up_if_removed(place, done, is_alone)
    return done


def _check_whole(place: Place, number: int) -> None:
    version = versions.known_version(place, number)
    publish.checked_url(place, version)
    files = publish.model_files(publish.read_manifest(place, version))
    for name in files:
        publish.read_part(place, version, name, files)


def _give_up_if_removed(place: Place, done: Move, is_alone: bool) -> None:
    """Move an alias back from a version that a cleanup has removed meanwhile."""
    if versions.removal_of(place, done.version) is None:
        return
    if done.previous is not None:
        previous = done.previous

        def following(at: Move | None) -> Move:
            reason = f"version {done.version} was removed while the alias moved"
            return moves.forward(
                at, done.alias, previous, reason=reason, who=done.who, written=now()
            )

        moves.append(place, done.alias, following, is_alone=is_alone)
    raise MissingInput(
        f"the files of version {done.version} of {place} were being removed; choose "
        "another version."
    )


def _unknown(place: Place, alias: str) -> str:
    names = sorted(moves.heads(place))
    if not names and not versions.numbers(place):
        return f"no registry at {place}; check the path."
    has = f"it has {', '.join(names)}" if names else "it has none yet; promote a version"
    return f"the registry at {place} has no alias {alias!r}; {has}."


def _moved(alias: str, found: int | None, expected: Expected) -> AliasMoved:
    where = "does not exist" if found is None else f"points to version {found}"
    before = "did not exist" if expected is None else f"pointed to version {expected}"
    return AliasMoved(
        f"alias {alias!r} {where} and was to be moved while it {before}: somebody else has moved "
        "it; look again before you move it."
    )
