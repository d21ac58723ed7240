"""What a request may cost, and how many there may be: all in bounded memory."""

from dataclasses import dataclass

from dkmeans.errors import ArgumentError
from dkmeans.service.refusals import Refusal

_MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """The most that a request, and all of them together, may take."""

    body_bytes: int = 64 * _MIB
    """Of a body."""

    json_bytes: int = 8 * _MIB
    """Of a body of JSON, which takes many times its size while it is read."""

    rows: int = 1_000_000
    """Of a request."""

    columns: int = 10_000
    """Of a table or an object, whether they are features or not."""

    values: int = 2_000_000
    """Distances of an answer to /distances: rows times clusters."""

    seconds: float = 30.0
    """Until a body has arrived, and until an answer has been taken."""

    header_seconds: float = 10.0
    """Until the headers of a request have arrived."""

    concurrent: int = 64
    """Requests that are read or computed at a time; whoever comes then is sent away with 429."""

    connections: int = 1000
    """Open connections; whoever comes then is sent away with 503."""

    held_bodies: int = 4
    """Bodies of the greatest size that may be in memory at a time, in pieces however small; answers
    that are not yet taken count, too."""

    def __post_init__(self) -> None:
        for name in ("body_bytes", "json_bytes", "rows", "columns", "values", "concurrent",
                     "connections", "held_bodies"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ArgumentError(f"{name}={getattr(self, name)} should be at least 1.")
        for name in ("seconds", "header_seconds"):
            if not getattr(self, name) > 0:
                raise ArgumentError(f"{name}={getattr(self, name)} should be more than 0.")


def check_size(n_rows: int, n_features: int, most_rows: int, most_values: int) -> None:
    """Refuse rows that are too many, or that would take much more memory than their body.

    Raises
    ------
    Refusal
        If so, with status 413.
    """
    if n_rows > most_rows:
        raise Refusal(413, "too_many_rows", f"the body has {n_rows} rows; at most {most_rows} are "
                      "taken at a time.")  # fmt: skip
    if n_rows * n_features > most_values:
        raise Refusal(
            413,
            "too_many_values",
            f"{n_rows} rows of {n_features} features have {n_rows * n_features} values; at most "
            f"{most_values} are taken at a time, of {most_values // n_features} rows.",
        )


class Room:
    """How many requests are in work, and how many bytes of bodies they hold.

    Belongs to the event loop: no other thread may call it.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._most_bytes = limits.held_bodies * limits.body_bytes
        self.n_requests = 0
        self.n_bytes = 0

    def enter(self) -> None:
        """Take a request in, or send it away; nobody waits."""
        if self.n_requests >= self._limits.concurrent:
            raise _busy(f"{self._limits.concurrent} requests are in work already")
        self.n_requests += 1

    def leave(self) -> None:
        """Let a request go."""
        self.n_requests -= 1

    def hold(self, n_bytes: int) -> None:
        """Take some more bytes of a body in, or an answer, or send its request away.

        Whoever is alone is always taken: to try again would not help.
        """
        if self.n_bytes and self.n_bytes + n_bytes > self._most_bytes:
            raise _busy("other requests and their answers fill the memory that is theirs")
        self.n_bytes += n_bytes

    def free(self, n_bytes: int) -> None:
        """Let bytes go that were held."""
        self.n_bytes -= n_bytes


def _busy(why: str) -> Refusal:
    return Refusal(429, "busy", f"{why}; try again after the seconds in Retry-After.",
                   headers=[(b"retry-after", b"1")])  # fmt: skip
