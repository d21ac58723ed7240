"""Job files that are wrong, each with all that is said of it, word for word, beside it."""

import re
from pathlib import Path

import pytest

from dkmeans.errors import JobRefused
from dkmeans.jobs.load import resolve
from tests.jobs.jobs import AS_OF, SMALL, job_of

FILES = sorted(Path(__file__).with_name("wrong").glob("*.yaml"))


def messages_of(path: Path) -> str:
    with pytest.raises(JobRefused) as refused:
        resolve(path.read_bytes(), path.name, AS_OF, folder="/jobs")
    return f"{refused.value}\n"


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 40


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_all_that_is_wrong_is_said_at_once(path: Path) -> None:
    assert messages_of(path) == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_message_is_a_sentence_with_its_place_and_lines_ascend(path: Path) -> None:
    lines = messages_of(path).splitlines()
    numbers = []
    for line in lines:
        found = re.fullmatch(rf"{re.escape(path.name)}:(\d+): \S.*[.?]", line)
        assert found, line
        numbers.append(int(found[1]))
    assert numbers == sorted(numbers)
    n_lines = path.read_bytes().count(b"\n")
    assert all(1 <= number <= n_lines + 1 for number in numbers)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_secret_is_in_a_message(path: Path) -> None:
    assert "hunter2" not in messages_of(path)


def test_a_file_that_is_too_large_is_not_read() -> None:
    with pytest.raises(JobRefused, match=r"262,\d{3} bytes; a job has at most 262,144"):
        job_of(SMALL + "# " + "x" * 2**18)
    # comments cost nothing below that
    job_of(SMALL + "# " + "x" * 2**17)
