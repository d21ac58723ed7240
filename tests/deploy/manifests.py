"""Everything that one overlay puts on a cluster, and what does not fit together in it."""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dask.utils import parse_bytes

from tests.deploy.kustomize import render, without_hashes
from tests.deploy.rendered import NAME, dask_job, pods_of

MADE_BY_HAND = {
    "dkmeans-serve-token": {"token"},
    "dkmeans-dask-tls": {"ca.crt", "tls.crt", "tls.key"},
}
"""Secrets that README.md has people make, and their keys."""

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


def problems(stage: Stage) -> list[str]:
    """Return what does not fit together, a line for each."""
    return [f"{check.__name__}: {said}" for check in CHECKS for said in check(stage)]


def references(stage: Stage) -> Iterator[str]:
    for pod, spec in stage.pods.items():
        if ("ServiceAccount", spec["serviceAccountName"]) not in stage.docs:
            yield f"{pod} has no ServiceAccount {spec['serviceAccountName']}"
        volumes = {one["name"]: one for one in spec["volumes"]}
        for volume in volumes.values():
            if (
                "configMap" in volume
                and ("ConfigMap", volume["configMap"]["name"]) not in stage.docs
            ):
                yield f"{pod} has no ConfigMap {volume['configMap']['name']}"
            if "secret" in volume and volume["secret"]["secretName"] not in MADE_BY_HAND:
                yield f"{pod} has no Secret {volume['secret']['secretName']}"
        for container in spec["containers"]:
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{pod} mounts no volume {mount['name']}"
            for one in container.get("env", []):
                asked = one.get("valueFrom", {}).get("configMapKeyRef")
                if asked and asked["key"] not in stage.docs["ConfigMap", asked["name"]]["data"]:
                    yield f"{pod} finds no {asked['key']}"


def namespaces(stage: Stage) -> Iterator[str]:
    spaces = {doc["metadata"].get("namespace") for (kind, _), doc in stage.docs.items()
              if kind != "Namespace"}  # fmt: skip
    for (kind, name), doc in stage.docs.items():
        if kind == "Namespace" and spaces != {name}:
            yield f"{spaces} are not {name}"
        for subject in doc.get("subjects", []):
            if subject.get("namespace") not in spaces:
                yield f"{kind} {name} binds an account of {subject.get('namespace')}"
    for pod in ("runner", "worker"):
        address = environment(stage.container(pod))["DASK_SCHEDULER_ADDRESS"]
        if address != f"tls://{NAME}-scheduler.{launch_namespace(stage.docs)}.svc:8786":
            yield f"{pod} asks {address}"


def selectors(stage: Stage) -> Iterator[str]:
    service = stage.job["spec"]["cluster"]["spec"]["scheduler"]["service"]
    if service["selector"] != stage.labels["scheduler"]:
        yield "the Service of the scheduler does not find it"
    for (kind, name), doc in stage.docs.items():
        found = {
            "Service": lambda doc: {"matchLabels": doc["spec"]["selector"]},
            "PodDisruptionBudget": lambda doc: doc["spec"]["selector"],
            "NetworkPolicy": lambda doc: doc["spec"]["podSelector"],
            "Deployment": lambda doc: doc["spec"]["selector"],
        }.get(kind)
        if found and not any(selects(labels, found(doc)) for labels in stage.labels.values()):
            yield f"{kind} {name} selects nothing"
        if kind == "HorizontalPodAutoscaler":
            target = doc["spec"]["scaleTargetRef"]
            if (target["kind"], target["name"]) not in stage.docs:
                yield f"{name} scales nothing"
            if "replicas" in stage.docs["Deployment", "dkmeans-serve"]["spec"]:
                yield "replicas stand in the way of the autoscaler"
        if kind == "RoleBinding" and ("Role", doc["roleRef"]["name"]) not in stage.docs:
            yield f"{name} binds no Role"
    for one in stage.pods["serve"]["topologySpreadConstraints"]:
        if not selects(stage.labels["serve"], one["labelSelector"]):
            yield "the pods of the service do not spread"


def ports(stage: Stage) -> Iterator[str]:
    for pod in stage.pods:
        container = stage.container(pod)
        named = {one["name"]: one["containerPort"] for one in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            if probe in container and container[probe]["httpGet"]["port"] not in named:
                yield f"{pod}: the {probe} asks no port"
    services = {
        "serve": stage.docs["Service", "dkmeans-serve"]["spec"],
        "scheduler": stage.job["spec"]["cluster"]["spec"]["scheduler"]["service"],
    }
    for pod, service in services.items():
        named = {one["name"]: one["containerPort"] for one in stage.container(pod)["ports"]}
        for one in service["ports"]:
            if one["targetPort"] not in named:
                yield f"{pod}: its Service has no port {one['targetPort']}"
    listens = {
        "serve": {int(option(stage.container("serve"), "port"))},
        "scheduler": {
            int(option(stage.container("scheduler"), "port")),
            int(option(stage.container("scheduler"), "dashboard-address").lstrip(":")),
        },
        "worker": {
            int(option(stage.container("worker"), name).lstrip(":"))
            for name in ("worker-port", "nanny-port", "dashboard-address")
        },
    }
    for pod, expected in listens.items():
        told = {one["containerPort"] for one in stage.container(pod)["ports"]}
        if told != expected:
            yield f"{pod} listens on {expected}, not on {told}"
        for name in ("out of", "into"):
            for port in _passed(stage, pod, name):
                if port not in expected:
                    yield f"port {port} {name} {pod} is open, where nobody listens"
    # what must get through
    for asks, answers, port in (
        ("worker", "scheduler", 8786), ("runner", "scheduler", 8786), ("scheduler", "worker", 8788),
        ("scheduler", "worker", 8789), ("worker", "worker", 8788), ("runner", "worker", 8788),
    ):  # fmt: skip
        for name, pod, other in (("into", answers, asks), ("out of", asks, answers)):
            if port not in _passed(stage, pod, name, other):
                yield f"port {port} {name} {pod}, {asks} to {answers}, is closed"


def _passed(stage: Stage, pod: str, way: str, other: str | None = None) -> set[int]:
    """Ports that policies open between a pod and pods: into it, or out of it."""
    side, peer = ("ingress", "from") if way == "into" else ("egress", "to")
    found = set()
    for (kind, _), doc in stage.docs.items():
        if kind != "NetworkPolicy" or not doc["spec"]["podSelector"]:
            continue
        for rule, one in _peers(doc["spec"].get(side, []), peer):
            # seen from the pod that the port is of, or from that which the policy is of
            owner, partner = doc["spec"]["podSelector"], one.get("podSelector")
            if other is None and way == "out of":
                is_meant = partner is not None and selects(stage.labels[pod], partner)
            elif not selects(stage.labels[pod], owner):
                is_meant = False
            else:
                is_meant = other is None or (
                    partner is not None and selects(stage.labels[other], partner)
                )
            if is_meant:
                found |= {one["port"] for one in rule["ports"]}
    return found


def _peers(rules: list[Any], peer: str) -> Iterator[tuple[Any, Any]]:
    for rule in rules:
        for one in rule[peer]:
            yield rule, one


def images(stage: Stage) -> Iterator[str]:
    found = {pod: stage.container(pod)["image"] for pod in stage.pods}
    tags = {image.rpartition(":")[2] for image in found.values()}
    if len(tags) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+\S*", *tags):
        yield f"tags {sorted(tags)}"
    dask = {found[pod] for pod in ("launcher", "runner", "scheduler", "worker")}
    if len(dask) != 1:
        yield f"a run has images {sorted(dask)}"
    if not found["serve"].rpartition(":")[0].endswith("-service"):
        yield f"the service has {found['serve']}"


def memory(stage: Stage) -> Iterator[str]:
    worker = stage.container("worker")
    limit = parse_bytes(option(worker, "memory-limit"))
    pod = quantity_bytes(worker["resources"]["limits"]["memory"])
    if not 0.5 * pod <= limit <= 0.95 * pod:
        yield f"a worker of {limit / 2**30:.1f} GiB in a pod of {pod / 2**30:.1f} GiB"
    if float(option(worker, "nthreads")) > float(worker["resources"]["requests"]["cpu"]):
        yield "more threads than cores"
    for name in stage.pods:
        resources = stage.container(name)["resources"]
        if not {"cpu", "memory"} <= resources["requests"].keys():
            yield f"{name} requests too little"
        if resources["limits"].get("memory") is None:
            yield f"{name} has no limit"


def scratch(stage: Stage) -> Iterator[str]:
    for name in stage.pods:
        container, spec = stage.container(name), stage.pods[name]
        mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
        volumes = {one["name"]: one for one in spec["volumes"]}
        needed = {"worker": {"/tmp", "/scratch"}, "launcher": set()}.get(name, {"/tmp"})
        for path in needed:
            if "sizeLimit" not in volumes.get(mounts.get(path), {}).get("emptyDir", {}):
                yield f"{name} has no room in {path}"
    if option(stage.container("worker"), "local-directory") != "/scratch":
        yield "workers stage elsewhere"


def restricted(stage: Stage) -> Iterator[str]:
    """Pod Security Standards, restricted; and more."""
    for name, spec in stage.pods.items():
        pod, container = spec.get("securityContext", {}), stage.container(name)
        own = container.get("securityContext", {})
        if not pod.get("runAsNonRoot") or pod.get("runAsUser", 0) < 10_000:
            yield f"{name} may be root"
        if pod.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name} has no seccomp profile"
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{name} may gain rights"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{name} may write to its root"
        if own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{name} has capabilities"
        if spec["automountServiceAccountToken"] is not (name == "launcher"):
            yield f"{name}: token of the cluster"
        for key in ("hostNetwork", "hostPID", "hostIPC"):
            if key in spec:
                yield f"{name} has {key}"
        for volume in spec["volumes"]:
            if not volume.keys() & {"configMap", "secret", "emptyDir"}:
                yield f"{name} has volume {volume}"
            if volume.get("secret", {"defaultMode": 0o440})["defaultMode"] != 0o440:
                yield f"{name} shows a secret to all"
        for one in container.get("env", []):
            if re.search("KEY$|TOKEN|SECRET|PASSWORD", one["name"]) and not str(
                one.get("value", "")
            ).startswith("/run/secrets/"):
                yield f"{name} has a secret in {one['name']}"
    (_, role) = next((key, one) for key, one in stage.docs.items() if key[0] == "Role")
    expected = {
        "apiGroups": ["kubernetes.dask.org"],
        "resources": ["daskjobs"],
        "verbs": ["create", "get", "list", "delete"],
    }
    if role["rules"] != [expected]:
        yield "the launcher may do more, or less, than it does"
    spaces = [doc for (kind, _), doc in stage.docs.items() if kind == "Namespace"]
    if [one["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") for one in spaces] != [
        "restricted"
    ]:
        yield "the namespace admits anything"


def nodes(stage: Stage) -> Iterator[str]:
    settings = stage.docs["ConfigMap", "dkmeans-settings"]["data"]
    for name, operator in (("runner", "NotIn"), ("scheduler", "NotIn"), ("worker", "In")):
        affinity = stage.pods[name]["affinity"]["nodeAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        expected = {
            "key": settings["CAPACITY_LABEL"], "operator": operator, "values": [settings["SPOT"]],
        }  # fmt: skip
        if term != {"matchExpressions": [expected]}:
            yield f"{name} runs on the wrong nodes"
    tolerated = [(one["key"], one["value"]) for one in stage.pods["worker"]["tolerations"]]
    if tolerated != [(settings["CAPACITY_LABEL"], settings["SPOT"])]:
        yield "workers do not bear spot nodes"


def secrets(stage: Stage) -> Iterator[str]:
    for name, spec in stage.pods.items():
        secret = {one["name"]: one["secret"] for one in spec["volumes"] if "secret" in one}
        mounts = {
            one["mountPath"]: secret[one["name"]]["secretName"]
            for one in stage.container(name)["volumeMounts"]
            if one["name"] in secret
        }
        words = [*stage.container(name)["args"], *environment(stage.container(name)).values()]
        for word in words:
            path = re.search(r"/run/secrets/[\w-]+/[\w.]+$", word)
            if path:
                folder, _, file = path[0].rpartition("/")
                if file not in MADE_BY_HAND.get(mounts.get(folder, ""), ()):
                    yield f"{name} finds no {path[0]}"


def seconds(stage: Stage) -> Iterator[str]:
    cron = stage.docs["CronJob", "dkmeans-retrain"]["spec"]
    launch = stage.container("launcher")
    if cron["concurrencyPolicy"] != "Forbid":
        yield "runs may overlap"
    deadline, run = (
        cron["jobTemplate"]["spec"]["activeDeadlineSeconds"],
        option(launch, "run-seconds"),
    )
    if deadline <= int(run) + 60:
        yield f"the Job ends in {deadline} s, before its launcher in {run} s"
    serve = stage.pods["serve"]
    stop = stage.container("serve")["lifecycle"]["preStop"]["sleep"]["seconds"]
    # the defaults of `dkmeans serve`
    if stop + 1 + 20 >= serve["terminationGracePeriodSeconds"]:
        yield "the service is killed before its requests have ended"
    for name, least in (("worker", 11), ("scheduler", 11), ("runner", 30)):
        if stage.pods[name]["terminationGracePeriodSeconds"] < least:
            yield f"{name} has too little time to end"
    if stage.pods["runner"]["restartPolicy"] != "Never":
        yield "a run that is refused is tried again and again"


def names(stage: Stage) -> Iterator[str]:
    (cron,) = [name for kind, name in stage.docs if kind == "CronJob"]
    # a Job has the minute of its schedule behind this, nine digits from 2871 on
    if len(f"{cron}-123456789") > 53:
        yield f"{cron} is too long"
    if option(stage.container("launcher"), "cronjob") != cron:
        yield "the launcher thinks it is of another CronJob"


def launched(stage: Stage) -> Iterator[str]:
    """Commands, and files of ConfigMaps."""
    launch = stage.container("launcher")
    folder = next(one["mountPath"] for one in launch["volumeMounts"] if one["name"] == "launcher")
    data = stage.docs["ConfigMap", "dkmeans-launcher"]["data"]
    for path in (launch["args"][0], option(launch, "template")):
        if path.rpartition("/")[0] != folder or path.rpartition("/")[2] not in data:
            yield f"there is no {path}"
    runner = stage.container("runner")
    if shlex.join(runner["args"][:2]) != "run /etc/dkmeans/job/job.yaml":
        yield "the runner runs another job"
    if "job.yaml" not in stage.docs["ConfigMap", "dkmeans-job"]["data"]:
        yield "there is no job"


CHECKS: tuple[Callable[[Stage], Iterator[str]], ...] = (
    references, namespaces, selectors, ports, images, memory, scratch, restricted, nodes, secrets,
    seconds, names, launched,
)  # fmt: skip
