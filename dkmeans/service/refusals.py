"""Requests that are refused: a status, and one sentence in JSON that names what is wrong.

{"error": {"type": "missing_value", "message": "...", "request_id": "...", "row": 3, ...}}
"""

import difflib
from collections.abc import Iterable
from typing import Any

_LONGEST_VALUE = 40


class Refusal(Exception):
    """A request that gets another answer than it asked for.

    Parameters
    ----------
    status
        Of the answer, 400 or more.
    kind
        What is wrong, for programs: a few words with underscores.
    message
        What is wrong, for people: the thing as they wrote it, the rule, the remedy.
    headers
        Of the answer, beside those that all have.
    details
        Where it is wrong, such as `row` and `column`; those that are None are left out.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        headers: Iterable[tuple[bytes, bytes]] = (),
        **details: Any,
    ) -> None:
        super().__init__(status, kind, message)
        self.status, self.kind, self.message = status, kind, message
        self.headers = tuple(headers)
        self.details = {name: value for name, value in details.items() if value is not None}

    def body(self, request_id: str) -> dict[str, Any]:
        """Return the answer as plain values."""
        return {
            "error": {
                "type": self.kind,
                "message": self.message,
                "request_id": request_id,
                **self.details,
            }
        }


def unfit(kind: str, message: str, **details: Any) -> Refusal:
    """Return the refusal of a body that was read, but says what it cannot say."""
    return Refusal(422, kind, message, **details)


def shown(value: Any) -> str:
    """Return a value as a message tells it: never long."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    # digits of a very large integer would be refused, and are not wanted
    if isinstance(value, int) and value.bit_length() > 256:
        return "an integer of more than 77 digits"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}..."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'age'?)` if a known name is like this one, else nothing."""
    lowered = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name[:200].lower(), lowered, n=1)
    return f" (did you mean {lowered[near[0]]!r}?)" if near else ""
