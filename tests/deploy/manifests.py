"""What does not fit together in what an overlay puts on a cluster."""

import re
import shlex
from collections.abc import Callable, Iterator

from dask.utils import parse_bytes

from tests.deploy.network import namespaces, ports, selectors
from tests.deploy.stages import Stage, environment, option, quantity_bytes

MADE_BY_HAND = {
    "dkmeans-serve-token": {"token"},
    "dkmeans-dask-tls": {"ca.crt", "tls.crt", "tls.key"},
}
"""Secrets that README.md has people make, and their keys."""


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
