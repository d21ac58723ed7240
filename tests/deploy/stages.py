"""Everything that one overlay puts on a cluster, with what its launcher launches there."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.deploy.conftest import DEPLOY
from tests.deploy.kustomize import render, without_hashes
from tests.deploy.rendered import NAME, dask_job, pods_of

KUBERNETES = DEPLOY / "kubernetes"
STAGES = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
_OPERATOR_LABELS = {"scheduler": "scheduler", "worker": "worker", "runner": "job-runner"}


@dataclass(frozen=True)
class Stage:
    """What an overlay makes, and the DaskJob that its launcher launches."""

    docs: Mapping[tuple[str, str], Any]
    job: Mapping[str, Any]
    pods: Mapping[str, Mapping[str, Any]]
    """PodSpecs by what they are: serve, launcher, runner, scheduler, worker."""

    labels: Mapping[str, Mapping[str, str]]
    """Labels of those pods."""

    @classmethod
    def of(cls, kubernetes: Path, stage: str, launcher: ModuleType) -> "Stage":
        """Render an overlay, and launch as its CronJob does."""
        docs = without_hashes(render(kubernetes / "overlays" / stage))
        serve = docs["Deployment", "dkmeans-serve"]["spec"]["template"]
        launch = docs["CronJob", "dkmeans-retrain"]["spec"]["jobTemplate"]["spec"]["template"]
        image = environment(launch["spec"]["containers"][0])["IMAGE"]
        job = dask_job(
            launcher,
            docs["ConfigMap", "dkmeans-settings"]["data"],
            template=docs["ConfigMap", "dkmeans-launcher"]["data"]["daskjob.yaml"],
            namespace=launch_namespace(docs),
            image=image,
        )
        pods = {"serve": serve["spec"], "launcher": launch["spec"], **pods_of(job)}
        labels = {name: pod["metadata"]["labels"] for name, pod in
                  (("serve", serve), ("launcher", launch))}  # fmt: skip
        for name, component in _OPERATOR_LABELS.items():
            labels[name] = {"dask.org/component": component, "dask.org/cluster-name": NAME}
        return cls(docs, job, pods, labels)

    def container(self, pod: str) -> Mapping[str, Any]:
        (found,) = self.pods[pod]["containers"]
        return found  # type: ignore[no-any-return]


def launch_namespace(docs: Mapping[tuple[str, str], Any]) -> str:
    return str(docs["CronJob", "dkmeans-retrain"]["metadata"]["namespace"])


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container.get("env", [])}


def option(container: Mapping[str, Any], name: str) -> str:
    """Return the value of `--name=value`."""
    (found,) = [one for one in container["args"] if one.startswith(f"--{name}=")]
    return str(found.partition("=")[2])


def quantity_bytes(text: str) -> int:
    """Read a quantity of Kubernetes, as 16Gi."""
    found = re.fullmatch(r"(\d+)([KMGT]i)", text)
    assert found, text
    return int(found[1]) * 2 ** (10 * ("KMGT".index(found[2][0]) + 1))


def selects(labels: Mapping[str, str], selector: Mapping[str, Any]) -> bool:
    """Whether a selector, of labels or of expressions, takes a pod."""
    for one in selector.get("matchExpressions", []):
        assert one["operator"] == "In", one
        if labels.get(one["key"]) not in one["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()


def broken(tmp_path: Path, file: str, old: str, new: str) -> Path:
    """Return a copy of the manifests in which a file is different."""
    copied = Path(shutil.copytree(KUBERNETES, tmp_path / "kubernetes"))
    text = (copied / file).read_text()
    assert old in text
    (copied / file).write_text(text.replace(old, new))
    return copied
