"""YAML of job files: which values are which, and where they are."""

import datetime

import pytest
import yaml

from dkmeans.errors import JobRefused
from dkmeans.jobs.problems import Problem
from dkmeans.jobs.reading import Dumper, Node, read


def node_of(text: str) -> Node:
    problems: list[Problem] = []
    node = read(text.encode(), "job.yaml", problems)
    assert problems == []
    return node


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("False", False),
        ("2:30", "2:30"),
        ("1:30:00", "1:30:00"),
        ("2026-11-20", "2026-11-20"),
        ("1e-4", 1e-4),
        ("1.5", 1.5),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("8", 8),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1_000_000", 1_000_000),
        ("'8'", "8"),
        ("~", None),
        ("", None),
        ("=", "="),
        ("1e", "1e"),
        ("infinite", "infinite"),
        ("!!str 8", "8"),
    ],
)
def test_values_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = node_of(f"key: {text}").plain()["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    ["no", "2:30", "1e-4", "8", "null", "2026-11-20", "~", "", "0x1F", 1e-4, 1e300, 8, None],
)
def test_what_is_written_reads_back(value: object) -> None:
    assert node_of(yaml.dump({"key": value}, Dumper=Dumper)).plain() == {"key": value}


def test_every_value_and_key_knows_its_line_and_column() -> None:
    root = node_of("a: 1\nb:\n  - 2\n  - c:   3\n")
    assert isinstance(root.value, dict)
    assert (root.value["b"].where.line, root.value["b"].where.column) == (2, 1)
    inner = root.value["b"].node.value
    assert isinstance(inner, tuple)
    assert (inner[1].where.line, inner[1].where.column) == (4, 5)
    assert isinstance(inner[1].value, dict)
    assert inner[1].value["c"].node.where.column == 10


def test_anchors_stand_for_what_they_name() -> None:
    assert node_of("a: &x {b: [1]}\nc: *x\n").plain() == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_aliases_cannot_blow_a_file_up() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    start = datetime.datetime.now()
    with pytest.raises(JobRefused, match="use fewer aliases"):
        read("\n".join(lines).encode(), "job.yaml", [])
    assert (datetime.datetime.now() - start).total_seconds() < 2


@pytest.mark.parametrize("n", [30, 3_000, 100_000])
def test_depth_is_bounded(n: int) -> None:
    with pytest.raises(JobRefused, match="levels deep"):
        read(b"a: " + b"[" * n + b"]" * n, "job.yaml", [])


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system [echo]",
        "a: !!python/name:os.system",
        "a: !!binary aGk=",
        "a: !!set {b}",
        "a: !mine b",
    ],
)
def test_tags_make_nothing(text: str) -> None:
    problems: list[Problem] = []
    read(text.encode(), "job.yaml", problems)
    assert "is not allowed" in problems[0].text


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read("task: train".encode("utf-8-sig"), "job.yaml", []).plain() == {"task": "train"}
