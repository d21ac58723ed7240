"""Compose RESULTS.md from the JSON files of a folder."""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Timing
from tests.benchmarks.tables import markdown_table

ORDER = (
    "ceilings",
    "kernels",
    "fit",
    "quality",
    "memory",
    "scale",
    "io",
    "parquet",
    "end",
    "minibatch",
    "evaluate",
    "sweep",
    "stream",
    "s3_clients",
    "serve",
)
Found = Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked."""
    parser.add_argument("folder", help="of the JSON files")
    parser.add_argument("--to", default=str(Path(__file__).with_name("RESULTS.md")))


def compose(asked: argparse.Namespace) -> None:
    """Read the files, write the page."""
    found = [json.loads(path.read_text()) for path in sorted(Path(asked.folder).glob("*.json"))]
    if not found:
        raise SystemExit(f"{asked.folder} holds no JSON files; run a benchmark with --out first.")
    Path(asked.to).write_text(page(found))
    print(asked.to)


def page(found: Sequence[Found]) -> str:
    """Return RESULTS.md for what some benchmarks have found."""
    known = {name: place for place, name in enumerate(ORDER)}
    found = sorted(found, key=lambda one: known.get(one["command"], len(known)))
    parts = [
        "# Benchmarks\n\nMade by `python -m tests.benchmarks results`; do not edit.\n\n"
        "All libraries take the same number of threads, their pools pinned; each has a process of "
        "its own, and they run in turns. Shown are medians, with the least and the most.",
        "## Where this was measured\n\n" + _settings(found),
        "## Targets\n\n" + _targets(found),
        "## Where we lose\n\n" + _losses(found),
    ]
    for one in found:
        parts.append(f"## {one['command']}\n\n{_how(one)}")
        if one["notes"]:
            parts.append("\n".join(f"- {note}" for note in one["notes"]))
        for table in one["tables"]:
            text = f"### {table['title']}\n\n{markdown_table(table['header'], table['rows'])}"
            parts.append(text + (f"\n\n{table['note']}" if table["note"] else ""))
    parts.append("## Thread pools\n\n" + _pools(found))
    return "\n\n".join(parts) + "\n"


def losses(found: Sequence[Found]) -> list[tuple[str, str, str, str, float]]:
    """Every peer whose median is better than ours, worst first.

    Each as what was measured, the peer, its median, ours, and how many times as good it is; that is
    infinite where we do not get there at all.
    """
    lost = []
    for one in found:
        for case in one["comparisons"]:
            unit = f" {case['unit']}".rstrip()
            for peer, theirs in case["theirs"].items():
                shown = Timing(tuple(theirs["values"])).shown() + unit
                if case["ours"] is None:
                    lost.append((case["what"], peer, shown, "never", float("inf")))
                    continue
                factor = case["ours"]["median"] / theirs["median"]
                if not case["less_is_better"]:
                    factor = 1 / factor
                if factor > 1:
                    ours = Timing(tuple(case["ours"]["values"])).shown() + unit
                    lost.append((case["what"], peer, shown, ours, factor))
    return sorted(lost, key=lambda one: -one[-1])


def _losses(found: Sequence[Found]) -> str:
    n_compared = sum(len(case["theirs"]) for one in found for case in one["comparisons"])
    rows = [
        [*cells, "" if factor == float("inf") else f"{factor:.2f}"]
        for *cells, factor in losses(found)
    ]
    told = f"{len(rows)} of {n_compared} comparisons with a peer."
    if not rows:
        return told
    header = ["what", "peer", "theirs", "ours", "times as good"]
    return f"{told}\n\n{markdown_table(header, rows)}"


def _targets(found: Sequence[Found]) -> str:
    rows = [
        [
            target["what"],
            f"{'at least' if target['at_least'] else 'at most'} {target['wanted']:g}",
            "" if target["found"] is None else f"{target['found']:.5g}",
            target["is"],
        ]
        for one in found
        for target in one["targets"]
    ]
    return markdown_table(["what", "target", "found", ""], rows) if rows else "None."


def _settings(found: Sequence[Found]) -> str:
    """One paragraph for each machine and set of versions."""
    parts: dict[str, list[str]] = {}
    for one in found:
        parts.setdefault(_setting(one["setting"]), []).append(one["command"])
    if len(parts) == 1:
        return next(iter(parts))
    return "\n\n".join(f"**{', '.join(names)}**\n\n{text}" for text, names in parts.items())


def _setting(setting: Found) -> str:
    cpu = setting["cpu"]
    caches = ", ".join(f"{name} {size}" for name, size in cpu["caches"].items())
    versions = ", ".join(
        f"{name} {version}" for name, version in setting["versions"].items() if version
    )
    missing = ", ".join(name for name, version in setting["versions"].items() if not version)
    lines = [
        f"- {cpu['model']}, {cpu['cores']} cores, {setting['memory_gib']} GiB of memory; caches "
        f"{caches or 'not told'}; {' '.join(cpu['flags']) or 'flags not told'}; governor "
        f"{cpu['governor']}",
        f"- {setting['system']}, Python {setting['python']}",
        f"- {versions}",
    ]
    if missing:
        lines.append(f"- not installed: {missing}")
    return "\n".join(lines)


def _how(one: Found) -> str:
    setting, options = one["setting"], one["options"]
    asked = ", ".join(
        f"{name}={value}"
        for name, value in options.items()
        if value not in (None, False) and name not in ("command", "out", "folder", "references")
    )
    quick = " **Small sizes: these figures say nothing.**" if options.get("quick") else ""
    return (
        f"{setting['date']}, commit {setting['commit'] or 'unknown'}, load before "
        f"{setting['load']}, {one.get('seconds', 0):.0f} s; {asked}.{quick}"
    )


def _pools(found: Sequence[Found]) -> str:
    """One line a process and distinct pool."""
    seen: dict[tuple[str, ...], None] = {}
    for one in found:
        for whose, pools in one["pools"].items():
            for pool in pools.get("threadpoolctl", []):
                cells = (
                    whose,
                    str(pool.get("internal_api") or ""),
                    str(pool.get("version") or ""),
                    str(pool.get("threading_layer") or ""),
                    str(pool.get("architecture") or ""),
                    str(pool.get("num_threads") or ""),
                )
                seen[cells] = None
    header = ["process", "pool", "version", "threading", "code for", "threads"]
    return markdown_table(header, list(seen)) if seen else "Not told."
