"""What a retrain tells of how it ended: for people, for programs, and for the record of the run."""

from collections.abc import Mapping
from typing import Any

from dkmeans.errors import GateRefused
from dkmeans.evaluation.lineage.result import Lineage
from dkmeans.jobs.figures import Figures
from dkmeans.jobs.gates import Verdict
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.outcome import Outcome, fit_figures, left_out_lines
from dkmeans.models.model import Model


def judged_outcome(
    run: Resolved,
    model: Model,
    *,
    version: int,
    champion_version: int | None,
    shadow: bool,
    figures: Figures,
    verdict: Verdict,
    drift: Mapping[str, Any] | None,
    lineage: Lineage | None,
    stored: Mapping[str, Any],
    seconds: float,
) -> Outcome:
    """Return the outcome of a challenge."""
    promoted = verdict.passed and not shadow
    result = {
        **_head(run, version),
        "run_id": model.provenance["job"]["run_id"],
        "champion": version if promoted else champion_version,
        "challenged": champion_version,
        "gate": "passed" if verdict.passed else "refused",
        "promoted": promoted,
        "shadow": shadow,
        "unchanged": False,
        "reasons": list(verdict.reasons),
        "figures": figures.to_dict(),
        "churn": None if lineage is None else lineage.churn,
        "births": [] if lineage is None else [one.cluster_id for one in lineage.births],
        "deaths": [] if lineage is None else [one.cluster_id for one in lineage.deaths],
        "drift": None if drift is None else dict(drift),
        **fit_figures(model),
        **stored,
        "seconds": seconds,
    }
    entries: dict[str, Any] = {
        "model_version": version,
        "champion_version": champion_version,
        "figures": figures.to_dict(),
        "verdict": verdict.to_dict(),
        "drift": result["drift"],
        "extra": {"promoted": promoted, "shadow": shadow},
    }
    refusal = None
    if not verdict.passed:
        entries |= _refused()
        why = "; ".join(one.rstrip(".") for one in verdict.reasons)
        refusal = f"the gate refuses the challenger: {why}{_stays(champion_version)}"
    lines = [
        f"{result['rows']:,} rows in {model.n_clusters} clusters ({result['n_passes']} passes of "
        f"the fit, {seconds:.1f} s)",
        *_lineage_lines(lineage),
        *_drift_lines(drift),
        *left_out_lines(result["rows_missing"], result["skipped_files"]),
        _version_line(run, version, champion_version, promoted, shadow, verdict.passed),
        *_stored_lines(stored),
    ]
    return Outcome(result, tuple(lines), entries, refusal)


def finished_outcome(
    run: Resolved,
    *,
    version: int,
    champion_version: int | None,
    challenged: int | None,
    passed: bool,
    promoted: bool,
    is_new: bool,
    verdict: Mapping[str, Any] | None,
    stored: Mapping[str, Any],
    seconds: float,
) -> Outcome:
    """Return the outcome of a run whose version was published before.

    `is_new` if the run that has published it had not come to its end: then this one ends as that
    one would have.
    """
    unchanged = not (is_new or promoted)
    reasons = _reasons(verdict)
    result = {
        **_head(run, version),
        "champion": champion_version,
        "challenged": challenged,
        "gate": "passed" if passed else "refused",
        "promoted": promoted,
        "unchanged": unchanged,
        "reasons": reasons,
        **stored,
        "seconds": seconds,
    }
    entries: dict[str, Any] = {
        "model_version": version,
        "champion_version": champion_version,
        "verdict": verdict,
    }
    refusal = None
    if unchanged:
        # the exit code of the run that has judged it told what the gate said
        entries |= {"outcome": "nothing to do", "exit_code": 0}
        said = "passed the gate" if passed else "was refused by the gate"
        lines = [
            f"nothing to do: version {version} came of the same rows and parameters, and {said}"
        ]
    elif passed:
        lines = [f"version {version}, of an earlier run, passed the gate"]
        if promoted:
            lines.append(f"{_alias(run)} is version {version}")
    else:
        entries |= _refused()
        why = "; ".join(one.rstrip(".") for one in reasons)
        refusal = f"the gate refuses the challenger: {why}{_stays(champion_version)}"
        lines = [f"version {version}, of an earlier run, was refused by the gate"]
    return Outcome(result, (*lines, *_stored_lines(stored)), entries, refusal)


def _head(run: Resolved, version: int) -> dict[str, Any]:
    assert run.job.registry is not None
    return {
        "job": run.job.name,
        "task": run.job.task,
        "as_of": run.as_of,
        "sha256": run.sha256,
        "registry": run.job.registry.place,
        "version": version,
        "alias": run.job.registry.name,
    }


def _refused() -> dict[str, Any]:
    return {"outcome": "refused", "exit_code": GateRefused.exit_code}


def _stays(champion: int | None) -> str:
    if champion is None:
        return "; there is no champion yet."
    return f"; version {champion} stays."


def _alias(run: Resolved) -> str:
    assert run.job.registry is not None
    return run.job.registry.name


def _version_line(
    run: Resolved, version: int, champion: int | None, promoted: bool, shadow: bool, passed: bool
) -> str:
    assert run.job.registry is not None
    if promoted:
        what = f"passed the gate; {_alias(run)} is this one"
    else:
        what = "passed the gate" if passed else "refused by the gate"
        what += "; in shadow nothing is promoted" if shadow and passed else ""
        what += "" if champion is None else f"; {_alias(run)} stays at version {champion}"
    return f"version {version} of {run.job.registry.place}: {what}"


def _lineage_lines(lineage: Lineage | None) -> list[str]:
    if lineage is None:
        return []
    churn = "" if lineage.churn is None else f", churn {100 * lineage.churn:.2g} %"
    parts = [f"{len(lineage.kept)} kept"]
    for what, some in (("new", lineage.births), ("gone", lineage.deaths)):
        if some:
            parts.append(f"{what}: {', '.join(str(one.cluster_id) for one in some)}")
    return [f"clusters: {'; '.join(parts)}{churn}"]


def _drift_lines(drift: Mapping[str, Any] | None) -> list[str]:
    if drift is None:
        return []
    return [f"drift: {drift['verdict']}", *(f"  {reason}" for reason in drift["reasons"])]


def _stored_lines(stored: Mapping[str, Any]) -> list[str]:
    lines = [f"{what}: {stored[what]}" for what in ("model", "clusters") if stored.get(what)]
    removed = stored.get("removed_versions")
    if removed:
        lines.append(f"removed the files of versions {', '.join(map(str, removed))}")
    return lines


def _reasons(verdict: Mapping[str, Any] | None) -> list[str]:
    judgments = (verdict or {}).get("judgments", [])
    return [str(one["reason"]) for one in judgments if not one.get("passed")]
