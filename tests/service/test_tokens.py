"""Tokens: which are accepted, and how they are kept."""

import time

import pytest

from dkmeans.errors import ArgumentError
from dkmeans.service import tokens as module
from dkmeans.service.refusals import Refusal
from dkmeans.service.tokens import Tokens
from dkmeans.storage.secrets import scrub

FIRST, SECOND = "a" * 15 + "1", "b" * 15 + "+/=="


def status(tokens, header):
    try:
        tokens.check(header)
    except Refusal as error:
        return error.status
    return 200


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (f"Bearer {FIRST}", 200), (f"bEARER   {FIRST} ", 200), (f"Bearer {SECOND}", 200),
        (None, 401), ("", 401), ("Bearer", 401), ("Bearer ", 401), (FIRST, 401),
        (f"Basic {FIRST}", 401), (f"Bearer {FIRST[:-1]}", 401), (f"Bearer {FIRST}0", 401),
        (f"Bearer {FIRST} {SECOND}", 401), ("Bearer \xe9" + FIRST, 401),
    ],
)  # fmt: skip
def test_each_token_of_a_file_is_accepted_and_nothing_else(tmp_path, header, expected):
    (tmp_path / "t").write_text(f"\n  {FIRST}\n\n{SECOND}\r\n")
    tokens = Tokens(tmp_path / "t")
    given = None if header is None else header.encode("latin-1")
    assert status(tokens, given) == expected


def test_every_token_is_compared_whichever_is_right(tmp_path, monkeypatch):
    compared = []

    def compare(one, other):
        compared.append(len(one) == len(other) == 32)
        return one == other

    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    (tmp_path / "t").write_text(f"{FIRST}\n{SECOND}\n")
    tokens = Tokens(tmp_path / "t")
    for given in (FIRST, SECOND, "x"):
        status(tokens, f"Bearer {given}".encode())
    assert compared == [True] * 6


def test_a_file_is_read_again_when_it_changes_and_counts_until_it_can_be(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)
    said, path = [], tmp_path / "t"
    path.write_text(FIRST)
    tokens = Tokens(path, say=said.append)
    for change, first, second in (
        (lambda: path.write_text(SECOND), 401, 200),
        (lambda: path.unlink(), 401, 200),
        (lambda: path.write_text(""), 401, 200),
        (lambda: path.write_text(f"{FIRST}\nx y\n"), 401, 200),
        (lambda: path.write_bytes(b"\xff" * 70_000), 401, 200),
        (lambda: path.write_text(f"{FIRST}\n{SECOND}\n"), 200, 200),
    ):
        change()
        time.sleep(0.01)
        found = [status(tokens, f"Bearer {one}".encode()) for one in (FIRST, SECOND)]
        assert found == [first, second]
    assert len(said) == 6
    assert all(("stay what they were" in text) == (i not in (0, 5)) for i, text in enumerate(said))
    assert not any(FIRST in text or SECOND in text for text in said)


def test_tokens_of_no_use_are_refused_and_never_shown():
    for token in ("", "short", "a" * 513, "with space in between it", "\u00fc" * 20):
        with pytest.raises(ArgumentError, match="DKMEANS_TOKEN should hold 16 to 512") as found:
            Tokens(token=token)
        assert not token or token not in str(found.value)
    Tokens(token="kept-out-of-all-logs")
    assert scrub("a kept-out-of-all-logs b") == "a ... b"
