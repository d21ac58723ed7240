"""Jobs whose data, registry, checkpoints and results are on S3."""

from pathlib import Path

import numpy as np
import pytest
import yaml

import dkmeans
from dkmeans.registry.registry import Registry
from dkmeans.rows.clusters_out import read_manifest
from tests.cli.command import run
from tests.conftest import write_parquet

SECRET = "test-secret-canary"


@pytest.fixture
def jobs(tmp_path: Path, bucket: str, s3: dict, blobs, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two jobs, the secret in the environment alone."""
    import s3fs

    X = blobs[0]
    local = write_parquet(tmp_path / "in", X, id=np.arange(len(X)))
    s3fs.S3FileSystem(**s3).put(f"{local}/*", f"{bucket}/in/dt=2026-11-20/")
    monkeypatch.setenv("DK_TEST_SECRET", s3["secret"])
    assert s3["secret"] == SECRET
    data = {
        "url": f"{bucket}/in/dt={{{{ as_of }}}}",
        "keys": ["id"],
        "storage_options": {**s3, "secret": {"env": "DK_TEST_SECRET"}},
    }
    train = {
        "task": "train",
        "name": "nightly",
        "data": data,
        "model": {"n_clusters": 5},
        "cluster": {"local": 0},
        "registry": f"{bucket}/models",
        "checkpoint": f"{bucket}/state",
    }
    predict = {
        "task": "predict",
        "name": "scores",
        "data": data,
        "registry": f"{bucket}/models",
        "cluster": {"local": 0},
        "output": f"{bucket}/clusters/{{{{ as_of | %Y/%m/%d }}}}",
    }
    for job in (train, predict):
        (tmp_path / f"{job['task']}.yaml").write_text(yaml.safe_dump(job))
    return tmp_path


def test_jobs_train_publish_and_predict_on_s3_without_showing_secrets(
    jobs: Path, bucket: str, s3: dict
) -> None:
    import s3fs

    at = ("--as-of", "2026-11-20")
    shown = [run("run", jobs / f"{task}.yaml", *at) for task in ("train", "predict")]
    assert [ran.code for ran in shown] == [0, 0], shown[-1].err
    shown += [run("run", jobs / "predict.yaml", *at, "--dry-run")]
    again = run("run", jobs / "predict.yaml", *at, "--json")
    assert again.json["unchanged"]
    assert again.json["version"] == 1
    registry = Registry(f"{bucket}/models", s3)
    model = registry.load("champion")
    assert isinstance(model, dkmeans.Model)
    manifest = read_manifest(f"{bucket}/clusters/2026/11/20", s3)
    assert (manifest["rows_assigned"], manifest["job"]["model_version"]) == (5000, 1)
    assert SECRET not in "".join(ran.out + ran.err for ran in (*shown, again))
    store = s3fs.S3FileSystem(**s3)
    stored = [path for path in store.find(bucket) if "/in/" not in path]
    assert len(stored) > 5
    assert not [path for path in stored if SECRET.encode() in store.cat_file(path)]
    assert not [path for path in stored if path.endswith("checkpoint.zip")]
    assert "env: DK_TEST_SECRET" in model.provenance["job"]["text"]
