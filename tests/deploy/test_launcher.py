"""The launcher of DaskJobs, as a process, on an API server that misbehaves."""

import datetime
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import wait_until
from tests.deploy.api_server import TOKEN, Cluster, api_server
from tests.deploy.certificates import Certificates, make_certificates
from tests.deploy.conftest import RETRAIN

CRONJOB = "dkmeans-retrain"
SCHEDULED = datetime.datetime.now(datetime.UTC).replace(hour=2, minute=15, second=0, microsecond=0)
NAME = f"{CRONJOB}-{int(SCHEDULED.timestamp()) // 60}"
TEMPLATE = """
apiVersion: kubernetes.dask.org/v1
kind: DaskJob
metadata: {name: "${NAME}"}
spec:
  job:
    spec:
      containers: [{name: runner, image: "${IMAGE}", args: [run, "--as-of=${AS_OF}"]}]
  cluster:
    spec:
      worker:
        replicas: ${WORKERS}
        spec:
          containers:
            - {name: worker, args: [tls://${NAME}-scheduler.${NAMESPACE}.svc, $(DASK_WORKER_NAME)]}
      scheduler:
        spec: {containers: []}
        service: {selector: {dask.org/cluster-name: "${NAME}"}}
"""


@pytest.fixture
def cluster(tmp_path: Path, certificates: Certificates) -> Iterator[Cluster]:
    with api_server(tmp_path, certificates) as found:
        yield found


@pytest.fixture
def start(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a launcher; those that still run at the end are killed."""
    started: list[subprocess.Popen] = []
    settings = tmp_path / "settings"
    settings.mkdir()
    (settings / "WORKERS").write_text("3")

    def start_one(*more: str, name: str = NAME, template: str = TEMPLATE) -> subprocess.Popen:
        (tmp_path / "daskjob.yaml").write_text(template)
        process = subprocess.Popen(
            [
                sys.executable, str(RETRAIN / "launch.py"), f"--name={name}",
                f"--cronjob={CRONJOB}", "--image=example/dkmeans:1", f"--settings={settings}",
                f"--template={tmp_path / 'daskjob.yaml'}", f"--api={cluster.url}",
                f"--credentials={cluster.folder}", "--poll-seconds=0.05", *more,
            ],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start_one
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen, code: int) -> str:
    """What a process that ended with a code has said."""
    _, said = process.communicate(timeout=30)
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert TOKEN not in said
    return said


def wait_for_job(cluster: Cluster, process: subprocess.Popen, name: str = NAME) -> None:
    wait_until(lambda: name in cluster.jobs, process)


def wait_for_polls(cluster: Cluster, n: int) -> None:
    """Wait until somebody has asked for the job `n` more times."""
    target = cluster.count("GET") + n
    wait_until(lambda: cluster.count("GET") >= target)


def test_a_run_that_succeeds(cluster: Cluster, start: Callable[..., subprocess.Popen]) -> None:
    process = start()
    wait_for_job(cluster, process)
    for status in ("JobCreated", "ClusterCreated", "Running"):
        cluster.say(NAME, status)
        wait_for_polls(cluster, 2)
        assert process.poll() is None
    cluster.say(NAME, "Successful")
    said = ended(process, 0)
    assert f"DaskJob {NAME}: Running" in said
    job = cluster.jobs[NAME]
    assert job["metadata"]["labels"] == {"dkmeans/cronjob": CRONJOB}
    spec = job["spec"]["cluster"]["spec"]
    assert spec["scheduler"]["service"]["selector"] == {"dask.org/cluster-name": NAME}
    assert spec["worker"]["replicas"] == 3
    assert spec["worker"]["spec"]["containers"][0]["args"] == [
        f"tls://{NAME}-scheduler.dkmeans-test.svc", "$(DASK_WORKER_NAME)",
    ]  # fmt: skip
    (runner,) = job["spec"]["job"]["spec"]["containers"]
    assert runner["image"] == "example/dkmeans:1"
    assert runner["args"][1] == f"--as-of={SCHEDULED.date().isoformat()}"


def test_a_run_that_fails(cluster: Cluster, start: Callable[..., subprocess.Popen]) -> None:
    process = start()
    wait_for_job(cluster, process)
    cluster.say(NAME, "Failed")
    assert f"kubectl logs {NAME}-runner" in ended(process, 1)
    assert NAME in cluster.jobs


def test_an_api_server_that_is_away_for_a_while(
    cluster: Cluster, start: Callable[..., subprocess.Popen]
) -> None:
    cluster.away = True
    process = start()
    wait_until(lambda: cluster.answered_away >= 2)
    cluster.away = False
    wait_for_job(cluster, process)
    cluster.away = True
    cluster.say(NAME, "Successful")
    wait_until(lambda: cluster.answered_away >= 4)
    cluster.away = False
    assert "restarting" in ended(process, 0)
    assert cluster.count("POST") == 1


def test_an_api_server_that_stays_away(
    cluster: Cluster, start: Callable[..., subprocess.Popen]
) -> None:
    cluster.away = True
    assert "no answer for 1 s: 503 restarting" in ended(start("--api-seconds=1"), 75)


def test_an_api_server_that_nobody_vouches_for(
    cluster: Cluster, start: Callable[..., subprocess.Popen], tmp_path: Path
) -> None:
    other = make_certificates(tmp_path / "other")
    (cluster.folder / "ca.crt").write_bytes(other.ca.read_bytes())
    assert "certificate verify failed" in ended(start("--api-seconds=0.2"), 75)
    assert cluster.requests == []


def test_a_reply_that_is_lost_launches_no_second_run(
    cluster: Cluster, start: Callable[..., subprocess.Popen]
) -> None:
    cluster.loses_replies = 1
    process = start()
    wait_until(lambda: cluster.count("POST") == 2)
    cluster.say(NAME, "Successful")
    assert "is there already" in ended(process, 0)
    assert list(cluster.jobs) == [NAME]


def test_a_launcher_that_is_killed_and_started_again_waits_for_the_same_run(
    cluster: Cluster, start: Callable[..., subprocess.Popen]
) -> None:
    first = start()
    wait_for_job(cluster, first)
    cluster.say(NAME, "Running")
    first.kill()
    assert first.wait() == -signal.SIGKILL
    second = start()
    wait_until(lambda: cluster.count("POST") == 2)
    wait_for_polls(cluster, 2)
    assert second.poll() is None
    cluster.say(NAME, "Successful")
    assert "is there already" in ended(second, 0)
    assert list(cluster.jobs) == [NAME]


def test_sigterm_leaves_the_run_alone(
    cluster: Cluster, start: Callable[..., subprocess.Popen]
) -> None:
    process = start("--poll-seconds=60")
    wait_for_job(cluster, process)
    cluster.say(NAME, "Running")
    process.send_signal(signal.SIGTERM)
    assert "terminated" in ended(process, 143)
    assert list(cluster.jobs) == [NAME]
    assert cluster.count("DELETE") == 0


@pytest.mark.parametrize("cronjob", [None, "another"])
def test_a_job_of_that_name_which_is_not_ours(
    cluster: Cluster, start: Callable[..., subprocess.Popen], cronjob: str | None
) -> None:
    cluster.add(NAME, status="Successful", cronjob=cronjob)
    assert f"which is not of CronJob {CRONJOB}" in ended(start(), 2)
    assert list(cluster.jobs) == [NAME]


@pytest.mark.parametrize(
    ("status", "option", "says"),
    [
        ("ClusterCreated", "--start-seconds=100", "did not run within 100 s (ClusterCreated)"),
        ("Running", "--run-seconds=100", "did not end within 100 s"),
    ],
)
def test_a_run_that_takes_too_long_is_deleted(
    cluster: Cluster,
    start: Callable[..., subprocess.Popen],
    status: str,
    option: str,
    says: str,
) -> None:
    # by the clock of the server, wherever that of the launcher stands
    cluster.ahead_seconds = 86_400
    cluster.add(NAME, status=status, cronjob=CRONJOB, age_seconds=90)
    process = start(option)
    wait_for_polls(cluster, 2)
    assert process.poll() is None
    assert cluster.count("DELETE") == 0
    cluster.ahead_seconds += 20
    assert says in ended(process, 7)
    assert cluster.jobs == {}


def test_a_run_that_no_operator_sees(
    cluster: Cluster, start: Callable[..., subprocess.Popen]
) -> None:
    assert "check the Dask operator" in ended(start("--start-seconds=0"), 7)


def test_a_run_that_somebody_deletes(
    cluster: Cluster, start: Callable[..., subprocess.Popen]
) -> None:
    process = start()
    wait_for_job(cluster, process)
    with cluster.lock:
        del cluster.jobs[NAME]
    assert f"somebody has deleted DaskJob {NAME}" in ended(process, 1)
    assert cluster.count("POST") == 1


@pytest.mark.parametrize(("end", "code"), [("Successful", 0), ("Failed", 1)])
def test_the_last_runs_are_kept(
    cluster: Cluster, start: Callable[..., subprocess.Popen], end: str, code: int
) -> None:
    for days in range(1, 7):
        status = "Failed" if days % 2 else "Successful"
        age = 86_400.0 * days
        cluster.add(f"{CRONJOB}-{days}", status=status, cronjob=CRONJOB, age_seconds=age)
    cluster.add("runs", status="Running", cronjob=CRONJOB, age_seconds=10**6)
    cluster.add("other", status="Failed", cronjob="another", age_seconds=10**6)
    process = start("--keep=3")
    wait_for_job(cluster, process)
    cluster.say(NAME, end)
    ended(process, code)
    assert set(cluster.jobs) == {NAME, f"{CRONJOB}-1", f"{CRONJOB}-2", "runs", "other"}


def test_old_runs_that_cannot_be_removed_spoil_nothing(
    cluster: Cluster, start: Callable[..., subprocess.Popen]
) -> None:
    cluster.refuses_lists = True
    cluster.add(NAME, status="Successful", cronjob=CRONJOB)
    assert "old DaskJobs stay: GET daskjobs?labelSelector" in ended(start("--keep=0"), 0)
    assert NAME in cluster.jobs


def test_without_the_operator(cluster: Cluster, start: Callable[..., subprocess.Popen]) -> None:
    cluster.lacks_operator = True
    assert "install the Dask operator" in ended(start(), 2)


def test_without_rights(cluster: Cluster, start: Callable[..., subprocess.Popen]) -> None:
    cluster.refuses = 403
    assert "403 no rights for daskjobs" in ended(start(), 2)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("${WORKERS}", "${WORKRES}", "the settings lack WORKRES"),
        ("kind: DaskJob", "kind: Pod", "should be a DaskJob"),
        ('name: "${NAME}"}', 'name: "p-${NAME}"}', "with name: ${NAME}"),
        ('cluster-name: "${NAME}"', 'cluster-name: "dkmeans"', "selector should have"),
        ("      scheduler:", "      schedulers:", "no DaskJob: KeyError('scheduler')"),
        ("kind: DaskJob", "kind: [", "no DaskJob: ParserError"),
    ],
)
def test_a_wrong_template(launcher: ModuleType, old: str, new: str, says: str) -> None:
    values = {"NAME": NAME, "NAMESPACE": "n", "IMAGE": "i", "AS_OF": "2026-11-20", "WORKERS": "3"}
    assert launcher.render(TEMPLATE, values, CRONJOB)["metadata"]["name"] == NAME
    assert old in TEMPLATE
    with pytest.raises(launcher.Problem) as problem:
        launcher.render(TEMPLATE.replace(old, new), values, CRONJOB)
    assert problem.value.exit_code == 2
    assert says in str(problem.value)


@pytest.mark.parametrize("name", ["n" * 54, "Retrain", "a.b", "a-"])
def test_a_name_that_the_operator_would_refuse(launcher: ModuleType, name: str) -> None:
    with pytest.raises(launcher.Problem, match=f"the name '{name}'"):
        launcher.render(TEMPLATE.replace("${", "{"), {"NAME": name}, CRONJOB)


def test_a_template_that_is_refused_launches_nothing(
    cluster: Cluster, start: Callable[..., subprocess.Popen]
) -> None:
    assert "the settings lack WORKRES" in ended(start(template="${WORKRES}"), 2)
    assert cluster.requests == []


@pytest.mark.parametrize("name", ["by-hand", "by-hand-20261120", "n" * 53])
def test_a_run_that_no_schedule_began_is_of_today(launcher: ModuleType, name: str) -> None:
    noon = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.UTC).timestamp()
    assert launcher.as_of(name, noon) == "2026-11-22"
    assert launcher.as_of(f"dkmeans-retrain-{int(noon) // 60 - 1440}", noon) == "2026-11-21"
