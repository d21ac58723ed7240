"""What `kubectl kustomize` makes of a folder, as far as ours need it; anything else is an error.

Tests hold it to be the same as kubectl where there is one.
"""

import copy
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.rendered import read_settings

_KEYS = {
    "apiVersion", "kind", "namespace", "resources", "configMapGenerator", "labels", "patches",
    "images", "replacements",
}  # fmt: skip
_MERGED_BY = {
    "containers": "name",
    "env": "name",
    "volumes": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
}
_CLUSTER_WIDE = {"Namespace"}

Docs = list[dict[str, Any]]


def render(folder: Path) -> Docs:
    """Return the resources, with names that carry the hash of what ConfigMaps hold."""
    docs = _build(folder)
    renamed = {}
    for doc in docs:
        if doc["kind"] == "ConfigMap" and doc.pop("needsHash", False):
            name = doc["metadata"]["name"]
            digest = hashlib.sha256(repr(sorted(doc["data"].items())).encode()).hexdigest()[:10]
            renamed[name] = doc["metadata"]["name"] = f"{name}-{digest}"
    for doc in docs:
        _rename_config_maps(doc, renamed)
    return docs


def without_hashes(docs: Docs) -> dict[tuple[str, str], Any]:
    """Return resources by kind and name, without hashes in names."""
    hashed = [one["metadata"]["name"] for one in docs if one["kind"] == "ConfigMap"]
    plain = {name: re.sub(r"-[a-z0-9]{10}$", "", name) for name in hashed}
    found = {}
    for doc in copy.deepcopy(docs):
        _rename_config_maps(doc, plain)
        name = doc["metadata"]["name"]
        doc["metadata"]["name"] = plain.get(name, name)
        found[doc["kind"], doc["metadata"]["name"]] = doc
    return found


def _build(folder: Path) -> Docs:
    (spec,) = _load(folder / "kustomization.yaml")
    unknown = set(spec) - _KEYS
    assert not unknown, f"{folder}: {unknown} is not supported here"
    docs: Docs = []
    for resource in spec.get("resources", []):
        place = folder / resource
        docs += _build(place) if place.is_dir() else _load(place)
    for generator in spec.get("configMapGenerator", []):
        _generate(docs, generator, folder)
    for patch in spec.get("patches", []):
        assert set(patch) == {"path"}, patch
        for change in _load(folder / patch["path"]):
            _merge(_named(docs, change["kind"], change["metadata"]["name"]), change)
    for labels in spec.get("labels", []):
        assert set(labels) == {"pairs"}, labels
        for doc in docs:
            doc["metadata"].setdefault("labels", {}).update(labels["pairs"])
    if "namespace" in spec:
        _move(docs, spec["namespace"])
    for image in spec.get("images", []):
        assert set(image) == {"name", "newName", "newTag"}, image
        for doc in docs:
            _retag(doc, image)
    for replacement in spec.get("replacements", []):
        _replace(docs, replacement)
    return docs


def _load(path: Path) -> Docs:
    return list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))


def _named(docs: Docs, kind: str, name: str) -> dict[str, Any]:
    found = [one for one in docs if (one["kind"], one["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, f"there are {len(found)} {kind} {name}"
    return found[0]


def _generate(docs: Docs, generator: Mapping[str, Any], folder: Path) -> None:
    unknown = set(generator) - {"name", "behavior", "envs", "files", "options"}
    assert not unknown, generator
    data: dict[str, str] = {}
    for place in generator.get("envs", []):
        data |= read_settings((folder / place).read_text())
    for place in generator.get("files", []):
        data[Path(place).name] = (folder / place).read_text()
    if generator.get("behavior") == "merge":
        _named(docs, "ConfigMap", generator["name"])["data"].update(data)
        return
    assert "behavior" not in generator
    options = generator.get("options", {})
    assert set(options) <= {"disableNameSuffixHash"}, options
    docs.append(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": generator["name"]},
            "data": data,
            "needsHash": not options.get("disableNameSuffixHash", False),
        }
    )


def _merge(into: dict[str, Any], change: Mapping[str, Any]) -> None:
    """Merge maps, and lists of maps by their key; replace all else."""
    for key, value in change.items():
        assert not key.startswith("$"), f"{key} is not supported here"
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif key in _MERGED_BY and key in into:
            by = _MERGED_BY[key]
            for item in value:
                same = [one for one in into[key] if one[by] == item[by]]
                if same:
                    _merge(same[0], item)
                else:
                    into[key].append(item)
        else:
            into[key] = value


def _move(docs: Docs, namespace: str) -> None:
    accounts = {one["metadata"]["name"] for one in docs if one["kind"] == "ServiceAccount"}
    for doc in docs:
        if doc["kind"] not in _CLUSTER_WIDE:
            doc["metadata"]["namespace"] = namespace
        for subject in doc.get("subjects", []):
            if subject["kind"] == "ServiceAccount" and subject["name"] in accounts:
                subject["namespace"] = namespace


def _retag(at: Any, image: Mapping[str, str]) -> None:
    if isinstance(at, dict):
        for container in at.get("containers", []) + at.get("initContainers", []):
            if container.get("image", "").rpartition(":")[0] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
    for value in at.values() if isinstance(at, dict) else at if isinstance(at, list) else ():
        _retag(value, image)


def _replace(docs: Docs, replacement: Mapping[str, Any]) -> None:
    assert set(replacement) == {"source", "targets"}, replacement
    source = replacement["source"]
    holder, key = _at(_named(docs, source["kind"], source["name"]), source["fieldPath"])
    for target in replacement["targets"]:
        assert set(target) == {"select", "fieldPaths"}, target
        doc = _named(docs, target["select"]["kind"], target["select"]["name"])
        for path in target["fieldPaths"]:
            into, last = _at(doc, path)
            assert last in into, path
            into[last] = holder[key]


def _at(doc: Any, path: str) -> tuple[Any, str]:
    """Return what a path leads to: what holds it, and under which key."""
    *steps, last = path.split(".")
    for step in steps:
        chosen = re.fullmatch(r"\[(\w+)=([\w-]+)\]", step)
        if chosen is None:
            doc = doc[step]
        else:
            (doc,) = [one for one in doc if one[chosen[1]] == chosen[2]]
    return doc, last


def _rename_config_maps(at: Any, names: Mapping[str, str]) -> None:
    if isinstance(at, dict):
        for key in ("configMap", "configMapKeyRef", "configMapRef"):
            if isinstance(at.get(key), dict):
                at[key]["name"] = names.get(at[key]["name"], at[key]["name"])
    for value in at.values() if isinstance(at, dict) else at if isinstance(at, list) else ():
        _rename_config_maps(value, names)
