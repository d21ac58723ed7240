"""What a benchmark found: tables that are printed, and figures that are stored as JSON."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.measure import Timing
from tests.benchmarks.tables import text_table


class Report:
    """Takes what is found, shows it at once, and writes it down in the end.

    Parameters
    ----------
    command
        The name of the benchmark, and of its file.
    options
        How it was run.
    setting
        Machine, versions, pools.
    """

    def __init__(
        self, command: str, options: Mapping[str, Any], setting: Mapping[str, Any]
    ) -> None:
        self._began = time.perf_counter()
        self._found: dict[str, Any] = {
            "command": command,
            "options": dict(options),
            "setting": dict(setting),
            "pools": {},
            "tables": [],
            "notes": [],
            "comparisons": [],
            "targets": [],
            "figures": {},
        }

    def table(
        self, title: str, header: Sequence[str], rows: Sequence[Sequence[Any]], note: str = ""
    ) -> None:
        """Show a table, with a line below."""
        cells = [[str(cell) for cell in row] for row in rows]
        kept = {"title": title, "header": list(header), "rows": cells, "note": note}
        self._found["tables"].append(kept)
        print(f"\n{title}\n{text_table(header, cells)}", flush=True)
        if note:
            print(note, flush=True)

    def note(self, text: str) -> None:
        """Say something that is no figure: what was left out, what went wrong."""
        self._found["notes"].append(text)
        print(f"  {text}", flush=True)

    def pools(self, whose: str, pools: Any) -> None:
        """Write down the thread pools of a process."""
        self._found["pools"][whose] = pools

    def figure(self, name: str, value: Any) -> None:
        """Write down figures for those who read the file."""
        self._found["figures"][name] = value

    def compare(
        self,
        what: str,
        ours: Timing | None,
        theirs: Mapping[str, Timing],
        unit: str = "s",
        less_is_better: bool = True,
    ) -> None:
        """Set ours against theirs: from these "Where we lose" is made.

        None is what we cannot do at all.
        """
        self._found["comparisons"].append(
            {
                "what": what,
                "unit": unit,
                "less_is_better": less_is_better,
                "ours": None if ours is None else ours.stored(),
                "theirs": {name: timing.stored() for name, timing in theirs.items()},
            }
        )

    def target(self, what: str, wanted: float, found: float | None, at_least: bool = True) -> str:
        """Judge a figure; None is one that could not be found. Returns the verdict."""
        verdict = judged(wanted, found, at_least)
        self._found["targets"].append(
            {"what": what, "wanted": wanted, "at_least": at_least, "found": found, "is": verdict}
        )
        return verdict

    def show_targets(self) -> None:
        """Show all that was judged."""
        rows = [
            [
                one["what"],
                f"{'>=' if one['at_least'] else '<='} {one['wanted']:g}",
                "?" if one["found"] is None else f"{one['found']:.5g}",
                one["is"],
            ]
            for one in self._found["targets"]
        ]
        if rows:
            print(f"\nTargets\n{text_table(['what', 'target', 'found', ''], rows)}", flush=True)

    @property
    def found(self) -> dict[str, Any]:
        """All of it, as plain values."""
        return self._found

    def save(self, folder: str | Path) -> Path:
        """Write the JSON file."""
        self._found["seconds"] = round(time.perf_counter() - self._began, 1)
        path = Path(folder, f"{self._found['command']}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self._found, indent=1, default=str) + "\n")
        print(f"\n{path}, after {self._found['seconds']:.0f} s", flush=True)
        return path


def judged(wanted: float, found: float | None, at_least: bool = True) -> str:
    """Say whether a target is met, and by how much it is missed."""
    if found is None:
        return "not measured"
    if found >= wanted if at_least else found <= wanted:
        return "met"
    share = abs(wanted - found) / wanted
    return f"missed by {share:.{0 if share >= 0.01 else 2}%}"
