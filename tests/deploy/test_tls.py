"""Dask over TLS as the security page describes it, with real processes, and who is refused."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import dkmeans
from dkmeans.cluster import connect
from dkmeans.errors import ClusterUnreachable
from tests.cli.command import run
from tests.conftest import free_port, wait_for_port, write_parquet
from tests.deploy.certificates import make_certificates
from tests.jobs.test_retrain import TEXT
from tests.processes import dask_process

PAGE = (Path(__file__).parents[2] / "deploy" / "security.md").read_text()


def certificates_as_on_the_page(folder: Path) -> None:
    """Run the page's commands: ca.pem, cert.pem and key.pem."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    (commands,) = [one for one in blocks if "openssl" in one]
    folder.mkdir(exist_ok=True)
    subprocess.run(["/bin/sh", "-euc", commands], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files for a `Security`, or a job."""
    folder = tmp_path_factory.mktemp("tls")
    if shutil.which("openssl") is not None:
        certificates_as_on_the_page(folder)
        # the authority's key is nobody's on the cluster
        assert {path.name for path in folder.iterdir()} >= {"ca.pem", "cert.pem", "key.pem"}
        assert (folder / "key.pem").stat().st_mode & 0o077 == 0
        return {f"tls_{name}": str(folder / f"{name}.pem") for name in ("ca", "cert", "key")}
    made = make_certificates(folder)
    return {"tls_ca": str(made.ca), "tls_cert": str(made.certificate), "tls_key": str(made.key)}


@pytest.fixture(scope="module")
def address(tls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A scheduler and a worker that talk TLS alone, configured by the page's variables."""
    names = re.findall(r"^(DASK_DISTRIBUTED__COMM__\w+)=(.*)$", PAGE, re.MULTILINE)
    assert len(names) >= 6
    folder, port = tmp_path_factory.mktemp("cluster"), free_port()
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        for name, value in names:
            for file in ("ca", "cert", "key"):
                value = re.sub(rf"\S*/{file}\.pem", tls[f"tls_{file}"], value)
            assert "/etc/" not in value
            patch.setenv(name, value)
        arguments = ("--host", "127.0.0.1", "--port", str(port), "--protocol", "tls")
        scheduler = stack.enter_context(
            dask_process(folder, "scheduler", *arguments, "--no-dashboard")
        )
        wait_for_port(port, scheduler)
        stack.enter_context(
            dask_process(
                folder, "worker", f"tls://127.0.0.1:{port}", "--nthreads", "1", "--no-nanny",
                "--memory-limit", "1GiB", "--host", "127.0.0.1", "--no-dashboard",
                "--local-directory", str(folder),
            )
        )  # fmt: skip
        yield f"tls://127.0.0.1:{port}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_parquet(tmp_path / "in", np.random.default_rng(0).normal(size=(2000, 3)))


def test_a_fit_over_tls_is_the_fit(
    address: str, tls: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    files = [word for name, path in tls.items() for word in (f"--{name.replace('_', '-')}", path)]
    fit = ("fit", folder, "--k", 3, "--seed", 1)
    there = run(*fit, "--model", tmp_path / "there", "--scheduler", address, *files)
    assert there.code == 0, there.err
    assert f"cluster: {address}" in there.err
    assert run(*fit, "--model", tmp_path / "here", "--workers", 0).code == 0
    models = [dkmeans.Model.load(str(tmp_path / name)) for name in ("there", "here")]
    assert models[0].scaled_centers.tobytes() == models[1].scaled_centers.tobytes()


def test_a_job_over_tls(address: str, tls: dict[str, str], folder: Path, tmp_path: Path) -> None:
    cluster = ", ".join(f"{name}: {path}" for name, path in {"address": address, **tls}.items())
    job = tmp_path / "job.yaml"
    text = TEXT.replace("cluster: {local: 0}", f"cluster: {{{cluster}}}").replace(
        ", keys: [id]", ""
    )
    job.write_text(text)
    ran = run("run", job)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize("who", ["nobody", "a stranger", "in plain text"])
def test_others_are_refused(
    who: str, address: str, tls: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 2)
    # the same settings with our own files are let in
    with connect.connected(address, **tls) as client:
        assert client.scheduler_info()["address"] == address
    files: dict[str, str] = {}
    if who == "a stranger":
        # trusts the cluster, and has a certificate of another authority
        other = make_certificates(tmp_path / "other")
        own = {"tls_cert": str(other.certificate), "tls_key": str(other.key)}
        files = {"tls_ca": tls["tls_ca"], **own}
    if who == "in plain text":
        address = address.replace("tls://", "tcp://")
    with pytest.raises(ClusterUnreachable, match="no Dask scheduler answers"):
        connect.connected(address, **files).__enter__()
