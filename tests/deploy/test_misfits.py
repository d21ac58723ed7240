"""What does not fit together in the manifests is seen."""

from pathlib import Path
from types import ModuleType

import pytest

from tests.deploy.manifests import problems
from tests.deploy.stages import Stage, broken

JOB, DEPLOYMENT, CRON = (
    "base/retrain/daskjob.yaml", "base/serve/deployment.yaml", "base/retrain/cronjob.yaml"
)  # fmt: skip
PRODUCTION = "overlays/production/"
MISFITS = [
    (JOB, "serviceAccountName: dkmeans-train", "serviceAccountName: train", "no ServiceAccount"),
    (JOB, "name: dkmeans-job", "name: job", "runner has no ConfigMap job"),
    (JOB, "secretName: dkmeans-dask-tls", "secretName: tls", "worker has no Secret tls"),
    (JOB, "- name: scratch\n                  mountPath", "- name: s\n                  mountPath",
     "worker mounts no volume s"),
    (DEPLOYMENT, "key: MODEL_URL", "key: MODEL", "serve finds no MODEL"),
    (PRODUCTION + "namespace.yaml", "name: dkmeans-production", "name: dkmeans", "namespaces"),
    (JOB, "${NAMESPACE}.svc", "default.svc", "worker asks tls://"),
    (JOB, "component: scheduler", "component: schedulers", "Service of the scheduler"),
    ("base/serve/service.yaml", "  selector:\n    app.kubernetes.io/name: dkmeans-serve",
     "  selector:\n    app.kubernetes.io/name: serve", "Service dkmeans-serve selects nothing"),
    ("base/serve/pdb.yaml", "name: dkmeans-serve\n", "name: serve\n", "PodDisruptionBudget"),
    ("base/serve/hpa.yaml", "    name: dkmeans-serve", "    name: serve", "scales nothing"),
    (DEPLOYMENT, "spec:\n  # no replicas", "spec:\n  replicas: 2\n  # no replicas", "autoscaler"),
    ("base/network/launcher.yaml", "dkmeans-launcher", "launcher", "launcher selects nothing"),
    ("base/retrain/rbac.yaml", "kind: Role\n  name: dkmeans-launcher", "kind: Role\n  name: l",
     "binds no Role"),
    (JOB, "port: http-dashboard\n                periodSeconds: 5", "port: http\n"
     "                periodSeconds: 5", "the readinessProbe asks no port"),
    ("base/serve/service.yaml", "targetPort: http", "targetPort: web", "has no port web"),
    (JOB, "--nanny-port=8789", "--nanny-port=8799", "worker listens on"),
    (DEPLOYMENT, "--port=8000", "--port=8080", "serve listens on {8080}"),
    ("base/network/serve.yaml", "port: 8000", "port: 80", "port 80 into serve is open"),
    ("base/network/dask.yaml", "[worker, job-runner]", "[worker]", "to scheduler, is closed"),
    ("base/network/dask.yaml", "port: 8789", "port: 8790", "port 8789 into worker"),
    (PRODUCTION + "kustomization.yaml", "dkmeans-service\n    newTag: 0.1.0",
     "dkmeans-service\n    newTag: 0.2.0", "tags ['0.1.0', '0.2.0']"),
    (PRODUCTION + "kustomization.yaml", "newTag: 0.1.0", "newTag: latest", "tags ['latest']"),
    (PRODUCTION + "kustomization.yaml", "[name=launcher].image", "[name=launcher].name",
     "a run has images"),
    (PRODUCTION + "settings.env", "WORKERS=8", "WORKER_MEMORY_LIMIT=16GiB", "a worker of 16.0 GiB"),
    (PRODUCTION + "settings.env", "WORKERS=8", "WORKER_THREADS=8", "more threads than cores"),
    (JOB, "mountPath: /scratch", "mountPath: /elsewhere", "worker has no room in /scratch"),
    (JOB, "sizeLimit: 2Gi", "medium: Memory", "runner has no room in /tmp"),
    (JOB, "--local-directory=/scratch", "--local-directory=/tmp", "workers stage elsewhere"),
    (JOB, "runAsUser: 10001", "runAsUser: 0", "scheduler may be root"),
    (JOB, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "write to its root"),
    (JOB, "drop: [ALL]", "drop: [NET_RAW]", "worker has capabilities"),
    (DEPLOYMENT, "automountServiceAccountToken: false", "automountServiceAccountToken: true",
     "serve: token of the cluster"),
    (DEPLOYMENT, "            - name: MODEL_URL\n",
     "            - name: DKMEANS_TOKEN\n              value: abc\n            - name: MODEL_URL\n",
     "secret in DKMEANS_TOKEN"),
    ("base/retrain/rbac.yaml", "resources: [daskjobs]", "resources: [daskjobs, pods]", "more, or"),
    (PRODUCTION + "namespace.yaml", "enforce: restricted", "enforce: baseline", "admits anything"),
    (JOB, "operator: NotIn", "operator: In", "scheduler runs on the wrong nodes"),
    (JOB, "operator: Equal\n              value: \"${SPOT}\"",
     "operator: Equal\n              value: \"on\"", "do not bear spot"),
    (JOB, "dask-tls/ca.crt", "dask-tls/ca.pem", "finds no /run/secrets/dask-tls/ca.pem"),
    (DEPLOYMENT, "--token-file=/run/secrets/dkmeans/token", "--token-file=/run/secrets/dkmeans/t",
     "finds no /run/secrets/dkmeans/t"),
    (CRON, "concurrencyPolicy: Forbid", "concurrencyPolicy: Allow", "runs may overlap"),
    (CRON, "--run-seconds=21600", "--run-seconds=36000", "the Job ends in 25200 s"),
    (DEPLOYMENT, "terminationGracePeriodSeconds: 45", "terminationGracePeriodSeconds: 20",
     "the service is killed"),
    (JOB, "terminationGracePeriodSeconds: 25", "terminationGracePeriodSeconds: 5",
     "worker has too little time"),
    (JOB, "restartPolicy: Never", "restartPolicy: OnFailure", "again and again"),
    (CRON, "--cronjob=dkmeans-retrain", "--cronjob=retrain", "another CronJob"),
    ("base/kustomization.yaml", "      - retrain/daskjobs.py\n      - retrain/launch.py\n", "",
     "there is no /etc/dkmeans/launcher/launch.py"),
    (JOB, "/etc/dkmeans/job/job.yaml", "/etc/dkmeans/job.yaml", "another job"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "says"), MISFITS)
def test_a_misfit_is_seen(
    file: str, old: str, new: str, says: str, tmp_path: Path, launcher: ModuleType
) -> None:
    copied = broken(tmp_path, file, old, new)
    found = problems(Stage.of(copied, "production", launcher))
    assert any(says in one for one in found), found
