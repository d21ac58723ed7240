"""Schedules: what is handed to cron and systemd, and what they make of each exit code."""

import os
import re
import shutil
import signal
import subprocess
import textwrap
from pathlib import Path

import pytest

from dkmeans.cli import main
from dkmeans.jobs.outcome import LEFT_OUT
from tests.cli.command import PROGRAM, run
from tests.conftest import wait_until
from tests.deploy.schedules import CODES, FOLDER, KILLED, OVERLAP, fake_program
from tests.deploy.units import read_crontab, read_unit
from tests.jobs.test_retrain import TEXT, batch, deliver

UNITS = sorted(FOLDER.glob("dkmeans*"))


def test_the_page_says_of_each_exit_code_what_becomes_of_it() -> None:
    assert {0, 1, 2, 3, 4, 5, 6, 7, 8, 130, 143} == CODES
    page = (FOLDER / "README.md").read_text()
    rows = re.findall(r"^\| ([\d, ]+) \|", page, re.MULTILINE)
    told = [int(code) for row in rows for code in row.split(",")]
    assert sorted(told) == sorted({*CODES, KILLED})
    for path in [*UNITS, FOLDER / "crontab", FOLDER / "airflow_dag.py"]:
        assert f"`{path.name}`" in page, path


# cron


def test_the_crontab_runs_in_some_hours_of_every_night() -> None:
    variables, (line,) = read_crontab(FOLDER / "crontab")
    assert variables["SHELL"] == "/bin/sh"
    assert variables["PATH"].startswith("/opt/dkmeans/bin:")
    assert "@" in variables["MAILTO"]
    assert (line.minutes, line.hours) == ({15}, {2, 3, 4, 5})
    assert line.days == set(range(1, 32))
    assert line.months == set(range(1, 13))
    assert line.weekdays == set(range(8))


@pytest.mark.parametrize(
    "wrong",
    [
        "61 2 * * * true\n",
        "15 2-25 * * * true\n",
        "15 2 * * true\n",
        "15 2 * * * date +%F\n",
        "15 2 * * * true",
        "*/0 2 * * * true\n",
    ],
)
def test_crontabs_that_cron_would_not_take_as_meant_are_noticed(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "crontab").write_text(wrong)
    with pytest.raises(ValueError, match=r"few|field|line"):
        read_crontab(tmp_path / "crontab")


def test_cron_mails_what_somebody_should_see_and_nothing_else(tmp_path: Path) -> None:
    fake_program(tmp_path)
    _, (line,) = read_crontab(FOLDER / "crontab")
    log = tmp_path / "customers.log"
    command = line.command.replace("/var/log/dkmeans/customers.log", str(log))
    assert command.count(str(log)) == 2
    mailed = {}
    for code in sorted({*CODES, KILLED}):
        (tmp_path / "code").write_text(str(code))
        ran = subprocess.run(
            ["/bin/sh", "-c", command],
            env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stderr == ""
        mailed[code] = ran.stdout
    assert {code for code, text in mailed.items() if not text} == {0, LEFT_OUT, OVERLAP}
    for code, text in mailed.items():
        assert not text or (f"exit code {code}:" in text and f"of code {code}\n" in text)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls == ["run /etc/dkmeans/customers.yaml"] * len(mailed)


# systemd


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_have_known_keys_and_values(path: Path) -> None:
    assert read_unit(path.read_text())


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ("RestartSec=", "RestartSecs="),
        ("Restart=on-failure", "Restart=on-failures"),
        ("SuccessExitStatus=4 8 143", "SuccessExitStatus=4, 8 143"),
        ("ProtectHome=yes", "ProtectHome=of course"),
        ("Type=oneshot", "Type=oneshot\nType=simple"),
        ("[Service]", "[Sevice]"),
        ("TimeoutStopSec=2min", "TimeoutStopSec=2 mins"),
    ],
)
def test_units_that_are_written_wrongly_are_noticed(change: str, to: str) -> None:
    text = (FOLDER / "dkmeans@.service").read_text()
    assert change in text
    with pytest.raises(ValueError, match="line "):
        read_unit(text.replace(change, to, 1))


def test_what_systemd_makes_of_each_exit_code() -> None:
    unit = read_unit((FOLDER / "dkmeans@.service").read_text())
    service = unit["Service"]
    done = {0, *map(int, service["SuccessExitStatus"].split())}
    failed = set(map(int, service["RestartPreventExitStatus"].split()))
    assert done == {0, LEFT_OUT, OVERLAP, main._TERMINATED}
    assert failed == {2, 3, 5, 6}
    assert service["Restart"] == "on-failure"
    assert CODES - done - failed == {1, 7, main._INTERRUPTED}
    # the signal that dkmeans answers; its workers are its own to stop
    assert (service["KillSignal"], service["KillMode"]) == ("SIGTERM", "mixed")
    assert service["ExecStart"].endswith("/dkmeans run /etc/dkmeans/%i.yaml")
    failed_unit = unit["Unit"]["OnFailure"].replace("@%i.", "@.")
    assert (FOLDER / failed_unit).exists()
    timer = read_unit((FOLDER / "dkmeans@.timer").read_text())["Timer"]
    assert timer["Persistent"] == "yes"
    # what cannot be written with ProtectSystem=strict
    written = {f"/var/cache/{service['CacheDirectory']}", f"/var/lib/{service['StateDirectory']}"}
    places = [*re.findall(r"=(/[\w/]+)", service["Environment"]), service["WorkingDirectory"]]
    assert len(places) == 3
    assert all(any(place.startswith(one) for one in written) for place in places)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for path in UNITS:
        text = path.read_text().replace("/opt/dkmeans/bin/dkmeans", "/bin/true")
        (tmp_path / path.name).write_text(text)
        (tmp_path / path.name.replace("@.", "@customers.")).write_text(text)
    of_job = [tmp_path / path.name.replace("@.", "@customers.") for path in UNITS]
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, of_job)],
        capture_output=True,
        text=True,
        check=False,
    )
    about_ours = [line for line in ran.stderr.splitlines() if "dkmeans" in line]
    assert (ran.returncode, about_ours) == (0, [])
    (service,) = [path for path in of_job if path.name == "dkmeans@customers.service"]
    ran = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=20", str(service)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-200:] + ran.stderr


# Codes that `dkmeans run` ends with. Those of tests/cli/test_run.py (0, 2, 3, 4, 7, 130) and
# test_run_retrain.py (5) are not made again.


def test_overlap_termination_and_the_unexpected_have_their_exit_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(tmp_path, batch(1))
    (tmp_path / "clusters.py").write_text(
        textwrap.dedent(f"""
            import pathlib, time

            def broken():
                raise RuntimeError("of the factory")

            def slow():
                pathlib.Path({str(tmp_path / "on")!r}).touch()
                time.sleep(120)
        """)
    )
    job = tmp_path / "job.yaml"
    job.write_text(TEXT.replace("cluster: {local: 0}", "cluster: {factory: clusters:slow}"))
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    first = subprocess.Popen([*PROGRAM, "run", str(job)], env=env, stderr=subprocess.PIPE)
    try:
        wait_until((tmp_path / "on").exists, first)
        second = run("run", job)
        assert second.code == OVERLAP
        assert "is run by" in second.error
        first.send_signal(signal.SIGTERM)
        _, said = first.communicate(timeout=30)
        assert first.returncode == 143, said
    finally:
        first.kill()
        first.wait()
    # Python ends with 1 for what nobody catches
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(RuntimeError, match="of the factory"):
        run("run", job, "--set", "cluster.factory=clusters:broken")
    found = run("runs", "list", tmp_path / "reg", "--json").json["runs"]
    assert [one["exit_code"] for one in found] == [143, OVERLAP, 1]
