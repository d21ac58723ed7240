"""What was fitted, on what, when and by which version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dkmeans.evaluation.shown import number
from dkmeans.models.files import model_id
from dkmeans.models.model import Model
from dkmeans.reports.findings import Findings, Source

_NAMED_FEATURES = 12
_NAMED_FILES = 3


@dataclass(frozen=True)
class Named:
    """How the user names a model."""

    url: str | None = None
    """Without secrets; None for one in memory."""

    version: int | None = None
    """In its registry."""

    registry: str | None = None
    alias: str | None = None


def title_of(found: Findings) -> str:
    """Return what the rows are called: the end of their common path."""
    files = found.source.files
    if not files:
        return "Clusters of rows in memory"
    if len(files) == 1:
        return f"Clusters of {_last(files[0])}"
    common = files[0].split("/")[:-1]
    for file in files[1:]:
        parts = file.split("/")
        common = [a for a, b in zip(common, parts) if a == b]
    while common and "=" in common[-1]:
        common.pop()
    return f"Clusters of {common[-1] if common and common[-1] else 'rows of many files'}"


def facts_of_model(found: Findings, named: Named) -> list[tuple[str, str]]:
    """Return what the model is and what it was fitted to."""
    model, known = found.model, found.model.provenance
    asked = model.parameters
    facts = [("Model", f"{_where(named)}id {model_id(model)}")]
    if named.version is not None:
        alias = f" ({named.alias})" if named.alias else ""
        facts.append(("Registry", f"version {named.version}{alias} of {named.registry}"))
    facts.append(("Clusters", f"{model.n_clusters:,}"))
    names = model.feature_names
    told = "" if names is None else f": {_some(names, _NAMED_FEATURES)}"
    facts.append(("Features", f"{model.n_features:,}{told}"))
    facts.append(("Scale", "none" if model.scaling is None else str(model.scaling.kind)))
    filled = "filled with what the fit found" if model.filling is not None else "refused"
    missing = {"raise": "refused", "drop": "rows left out"}.get(str(known.get("missing")), filled)
    facts.append(("Missing values", missing if model.filling is None else filled))
    if "rows" in known:
        facts += _of_fit(known)
    if asked.get("algorithm") or asked.get("init"):
        told = " ".join(str(asked[one]) for one in ("algorithm", "init") if asked.get(one))
        facts.append(("Start", told))
    return facts


def facts_of_rows(found: Findings) -> list[tuple[str, str]]:
    """Return what the rows of this report are."""
    source = found.source
    facts = [("Rows", f"{found.evaluation.n_rows:,}")]
    if source.files:
        facts.append(("Files", f"{len(source.files):,}: {_some(source.files, _NAMED_FILES)}"))
    if source.filters:
        facts.append(("Filter", " or ".join(source.filters)))
    if source.weight is not None:
        facts.append(("Weights", f"column {source.weight}"))
    if source.n_missing:
        facts.append(("Left out", f"{source.n_missing:,} rows that lack a value"))
    for url, reason in source.skipped[:_NAMED_FILES]:
        facts.append(("Left out", f"{url} ({reason})"))
    more = len(source.skipped) - _NAMED_FILES
    if more > 0:
        facts.append(("Left out", f"{more:,} more files"))
    if found.evaluation.reused:
        facts.append(("The same", "as those of the fit"))
    return facts


def source_named(source: Source) -> str:
    """Return the rows in a few words."""
    return _some(source.files, 1) if source.files else "rows in memory"


def _of_fit(known: Mapping[str, Any]) -> list[tuple[str, str]]:
    dropped = int(known.get("rows_dropped") or 0)
    lost = f" ({dropped:,} left out)" if dropped else ""
    facts = [("Fitted to", f"{number(known['rows'])} rows{lost}")]
    files = [str(file["url"]) for file in known.get("files", ())]
    if files:
        facts.append(("From", f"{len(files):,} file{'s' if len(files) > 1 else ''}: "
                      f"{_some(files, _NAMED_FILES)}"))  # fmt: skip
    if known.get("filters"):
        facts.append(("Filter of the fit", str(known["filters"])))
    if known.get("weight_column"):
        facts.append(("Weights of the fit", f"column {known['weight_column']}"))
    if known.get("sample"):
        facts.append(("Sample", f"a share of {known['sample'].get('share'):g}"))
    facts.append(("Seed", str(known.get("seed"))))
    if known.get("finished"):
        facts.append(("Finished", str(known["finished"]).replace("T", " ")))
    versions = known.get("versions", {})
    if versions:
        facts.append(("By", ", ".join(f"{name} {one}" for name, one in versions.items())))
    return facts


def _where(named: Named) -> str:
    return "" if named.url is None else f"{named.url}, "


def _some(names: Any, most: int) -> str:
    more = len(names) - most
    listed = ", ".join(map(str, names[:most]))
    return f"{listed} and {more:,} more" if more > 0 else listed


def _last(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2] or url


def model_named(model: Model, named: Named) -> str:
    """Return a model in a few words."""
    if named.url is None:
        return f"the model {model_id(model)}"
    if named.version is not None:
        return f"version {named.version} of {named.registry}"
    return named.url
