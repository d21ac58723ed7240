"""Launch a DaskJob for one run of a CronJob, wait for its end, and remove old ones.

Needs Python's standard library and PyYAML. The DaskJob has the name of the Kubernetes Job that runs
this program. Whoever starts it again for the same Job therefore finds the DaskJob, and waits for it
instead of launching another.

Exit codes: 0 the run succeeded; 1 it failed, or somebody deleted it; 2 wrong template, name or
rights; 7 stopped, it did not start or end in time; 75 the API server was away for too long; 143
SIGTERM. Of these 75 and 143 leave the DaskJob alone: start the launcher again.
"""

import argparse
import datetime
import logging
import re
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml
from daskjobs import CRONJOB, REFUSED, Api, Problem

FAILED, STOPPED, TERMINATED = 1, 7, 143

CREDENTIALS = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_ENDS = ("Successful", "Failed")
_MOST_NAME = 53
"""Characters that the operator leaves for a name."""

_NEAR_SECONDS = 400 * 86_400
"""A number in a name that is a minute so near to now is that of a schedule."""

log = logging.getLogger("launch")


def render(template: str, values: Mapping[str, str], cronjob: str) -> dict[str, Any]:
    """Fill in a template, and check what the operator does not.

    Parameters
    ----------
    template
        YAML of a DaskJob; `${KEY}` stands for a value.
    values
        What keys stand for; NAME is the name of the DaskJob.
    cronjob
        Becomes a label, by which old ones are found.

    Raises
    ------
    Problem
        If a value is missing, or if it is no DaskJob whose Service finds its scheduler.
    """
    missing = sorted(set(re.findall(r"\$\{(\w+)\}", template)) - set(values))
    if missing:
        raise Problem(REFUSED, f"the settings lack {', '.join(missing)}, of the template.")
    name = values["NAME"]
    if len(name) > _MOST_NAME or not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name):
        raise Problem(
            REFUSED,
            f"a DaskJob cannot have the name {name!r}: lower-case letters, digits and -, "
            f"{_MOST_NAME} at most; rename the CronJob.",
        )
    try:
        body = yaml.safe_load(re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], template))
        selector = body["spec"]["cluster"]["spec"]["scheduler"]["service"]["selector"]
        metadata = body["metadata"]
        kind = body["kind"]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise Problem(REFUSED, f"the template is no DaskJob: {error!r}.") from None
    if kind != "DaskJob" or metadata.get("name") != name:
        raise Problem(REFUSED, "the template should be a DaskJob with name: ${NAME}.")
    if selector.get("dask.org/cluster-name") != name:
        raise Problem(REFUSED, "the selector should have dask.org/cluster-name: ${NAME}.")
    metadata.setdefault("labels", {})[CRONJOB] = cronjob
    found: dict[str, Any] = body
    return found


def as_of(name: str, now: float) -> str:
    """Return the day a run is of, in UTC.

    A CronJob names its Jobs by the minute of their schedule. Others are of today.
    """
    minutes = re.search(r"-(\d{8,})$", name)
    moment = 60.0 * int(minutes[1]) if minutes else now
    if abs(moment - now) > _NEAR_SECONDS:
        moment = now
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).date().isoformat()


def settings_of(folder: Path) -> dict[str, str]:
    """Read a mounted ConfigMap: a file for each key."""
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def launch(api: Api, body: Mapping[str, Any], cronjob: str) -> None:
    """Create the DaskJob, unless a launcher of the same run has done so."""
    name = body["metadata"]["name"]
    if api.create(body):
        log.info("launched DaskJob %s", name)
        return
    found = api.get(name)
    if found is not None and found["metadata"].get("labels", {}).get(CRONJOB) != cronjob:
        raise Problem(
            REFUSED,
            f"there is a DaskJob {name} which is not of CronJob {cronjob}; delete it, or rename "
            "the CronJob.",
        )
    log.info("DaskJob %s is there already, waiting for it", name)


def wait(api: Api, name: str, poll: float, start_seconds: float, run_seconds: float) -> None:
    """Return when a DaskJob has succeeded; see the module for how else it can end."""
    before = None
    while True:
        found = api.get(name)
        if found is None or "deletionTimestamp" in found["metadata"]:
            raise Problem(FAILED, f"somebody has deleted DaskJob {name}.")
        status = found.get("status", {}).get("jobStatus")
        if status != before:
            log.info("DaskJob %s: %s", name, status or "no operator has seen it")
            before = status
        if status == "Successful":
            return
        if status == "Failed":
            raise Problem(
                FAILED,
                f"DaskJob {name} has failed: see `kubectl logs {name}-runner` and `dkmeans runs`.",
            )
        age = api.now - _created(found)
        if status != "Running" and age > start_seconds:
            api.delete(name)
            raise Problem(
                STOPPED,
                f"DaskJob {name} did not run within {start_seconds:g} s ({status}), it is deleted: "
                "check the Dask operator, and whether there are nodes for its runner.",
            )
        if age > run_seconds:
            api.delete(name)
            raise Problem(
                STOPPED,
                f"DaskJob {name} did not end within {run_seconds:g} s, it is deleted: a next run "
                "goes on from its checkpoint.",
            )
        time.sleep(poll)


def _created(found: Mapping[str, Any]) -> float:
    return datetime.datetime.fromisoformat(found["metadata"]["creationTimestamp"]).timestamp()


def prune(api: Api, cronjob: str, keep: int) -> None:
    """Delete all but the last `keep` DaskJobs that have ended."""
    ended = [one for one in api.of(cronjob) if one.get("status", {}).get("jobStatus") in _ENDS]
    ended.sort(key=lambda one: (_created(one), one["metadata"]["name"]), reverse=True)
    for one in ended[keep:]:
        name = one["metadata"]["name"]
        api.delete(name)
        log.info("removed DaskJob %s", name)


def arguments() -> argparse.ArgumentParser:
    """Return what the program can be told."""
    parser = argparse.ArgumentParser(description="Launch a DaskJob, and wait for its end.")
    parser.add_argument("--name", required=True, help="of the Job, and of the DaskJob")
    parser.add_argument("--cronjob", required=True, help="whose DaskJobs are kept and removed")
    parser.add_argument("--image", required=True, help="what ${IMAGE} stands for")
    parser.add_argument("--template", type=Path, required=True, help="YAML of a DaskJob")
    parser.add_argument("--settings", type=Path, required=True, help="a folder: a file for a key")
    parser.add_argument("--start-seconds", type=float, default=900, help="until it must run")
    parser.add_argument("--run-seconds", type=float, default=21600, help="until it must have ended")
    parser.add_argument("--api-seconds", type=float, default=900, help="that the API may be away")
    parser.add_argument("--poll-seconds", type=float, default=10)
    parser.add_argument("--keep", type=int, default=7, help="how many that have ended to keep")
    parser.add_argument("--api", default="https://kubernetes.default.svc")
    parser.add_argument("--credentials", type=Path, default=CREDENTIALS)
    return parser


def main() -> int:
    """Launch, wait, remove old ones; return the exit code."""
    given = arguments().parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        api = Api(given.api, given.credentials, given.api_seconds)
        values = settings_of(given.settings)
        values |= {"NAME": given.name, "NAMESPACE": api.namespace, "IMAGE": given.image}
        values["AS_OF"] = as_of(given.name, time.time())
        launch(api, render(given.template.read_text(), values, given.cronjob), given.cronjob)
        ended = _ended(api, given)
    except Problem as problem:
        log.error("%s", problem)
        return problem.exit_code
    try:
        prune(api, given.cronjob, given.keep)
    except Problem as problem:
        # the next run removes them
        log.warning("old DaskJobs stay: %s", problem)
    return ended


def _ended(api: Api, given: argparse.Namespace) -> int:
    """Wait for the DaskJob; return the exit code, unless the end is unknown."""
    try:
        wait(api, given.name, given.poll_seconds, given.start_seconds, given.run_seconds)
    except Problem as problem:
        if problem.exit_code not in (FAILED, STOPPED):
            raise
        log.error("%s", problem)
        return problem.exit_code
    return 0


def _terminate(*_: Any) -> NoReturn:
    log.error("terminated; the DaskJob goes on, and so does the wait when this is started again.")
    sys.exit(TERMINATED)


if __name__ == "__main__":
    sys.exit(main())
