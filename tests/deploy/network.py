"""Who finds whom on a cluster, and by which ports: what of it does not fit together."""

from collections.abc import Iterator
from typing import Any

from tests.deploy.rendered import NAME
from tests.deploy.stages import Stage, environment, launch_namespace, option, selects


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
