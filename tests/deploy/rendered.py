"""The DaskJob of a run, as the launcher makes it of the files of the base."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tests.deploy.conftest import DEPLOY, RETRAIN

NAME, NAMESPACE, IMAGE = "dkmeans-retrain-29394840", "dkmeans-test", "example/dkmeans:1"
POD_PATHS = {
    "runner": ("spec", "job", "spec"),
    "scheduler": ("spec", "cluster", "spec", "scheduler", "spec"),
    "worker": ("spec", "cluster", "spec", "worker", "spec"),
}


def read_settings(text: str) -> dict[str, str]:
    """Read KEY=VALUE lines."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def base_settings() -> dict[str, str]:
    return read_settings((DEPLOY / "kubernetes" / "base" / "settings.env").read_text())


def dask_job(
    launcher: ModuleType,
    settings: Mapping[str, str],
    *,
    template: str | None = None,
    namespace: str = NAMESPACE,
    image: str = IMAGE,
) -> dict[str, Any]:
    """Return the DaskJob of a run."""
    own = {"NAME": NAME, "NAMESPACE": namespace, "IMAGE": image, "AS_OF": "2026-11-20"}
    text = (RETRAIN / "daskjob.yaml").read_text() if template is None else template
    found: dict[str, Any] = launcher.render(text, {**settings, **own}, "dkmeans-retrain")
    return found


def pods_of(job: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the PodSpecs of a DaskJob, by component."""
    found = {}
    for component, path in POD_PATHS.items():
        at: Any = job
        for key in path:
            at = at[key]
        found[component] = at
    return found


def environment_of(container: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container.get("env", [])}
