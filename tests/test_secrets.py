"""Credentials that a user passes appear nowhere: no file, no line, no graph, no error."""

import io
import pickle

import cloudpickle
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

import dkmeans
from dkmeans.errors import DkmeansError
from tests.cli.command import run
from tests.conftest import free_port
from tests.test_s3 import as_arguments

SECRET = "test-secret-canary"


@pytest.fixture
def url(bucket: str, s3: dict) -> str:
    """Three files on S3."""
    assert s3["secret"] == SECRET
    fs, X = s3fs.S3FileSystem(**s3), np.random.default_rng(0).normal(size=(600, 2))
    for i in range(3):
        buffer = io.BytesIO()
        part = X[200 * i : 200 * (i + 1)]
        pq.write_table(pa.table({"a": part[:, 0], "b": part[:, 1], "id": np.arange(200)}), buffer)
        fs.pipe_file(f"{bucket}/in/part-{i}.parquet", buffer.getvalue())
    return f"{bucket}/in"


def everything_under(url: str, s3: dict) -> dict[str, bytes]:
    fs = s3fs.S3FileSystem(**s3)
    fs.invalidate_cache()
    return {name: fs.cat_file(name) for name in fs.find(url)}


def test_the_canary_would_be_seen(bucket: str, s3: dict) -> None:
    s3fs.S3FileSystem(**s3).pipe_file(f"{bucket}/x", SECRET.encode())
    assert any(SECRET.encode() in data for data in everything_under(bucket, s3).values())


def test_a_job_on_workers_leaves_no_secret_anywhere(
    url: str, bucket: str, s3: dict, client
) -> None:
    ran = run(
        "fit", url, "--k", 3, "--model", f"{bucket}/model", "--output", f"{bucket}/out",
        "--keys", "id", "--scheduler", client.scheduler.address, *as_arguments(s3),
    )  # fmt: skip
    assert ran.code == 0, ran.err
    shown = run("inspect", f"{bucket}/model", "--json", *as_arguments(s3))
    written = everything_under(bucket, s3)
    assert len([name for name in written if "/model/" in name or "/out/" in name]) >= 10
    for name, data in written.items():
        assert SECRET.encode() not in data, name
        assert s3["key"].encode() not in data, name
    for _, message in client.get_scheduler_logs():
        assert SECRET not in message
    for lines in client.get_worker_logs().values():
        assert not [message for _, message in lines if SECRET in message]
    assert SECRET not in ran.out + ran.err + shown.out + shown.err


def test_graphs_and_pickles_hold_no_secret(url: str, s3: dict) -> None:
    rows = dkmeans.read_parquet(url, keys=["id"], storage_options=s3, block_rows=50)
    estimator = dkmeans.KMeans(3, random_state=0).fit(rows)
    lazy = rows.to_dask_array()
    assert lazy.numblocks[0] > 1
    labels = estimator.predict(rows)
    for value in (dict(lazy.__dask_graph__()), dict(labels.__dask_graph__()), rows.parquet):
        assert SECRET.encode() not in cloudpickle.dumps(value)
        assert SECRET not in repr(value)
    for value in (estimator.model_, estimator.get_params()):
        assert SECRET.encode() not in pickle.dumps(value)
    assert SECRET not in repr(rows) + repr(estimator) + repr(estimator.model_)
    assert SECRET not in repr(estimator.history_)


def test_errors_hold_no_secret(url: str, bucket: str, s3: dict, tmp_path) -> None:
    s3fs.S3FileSystem(**s3).pipe_file(f"{bucket}/bad/a.parquet", b"nothing of the kind " * 10)
    jobs = [
        (("fit", f"{bucket}/nope", "--k", 3, "--model", tmp_path / "m", "--workers", 0), s3, 3),
        (("fit", f"{bucket}/bad", "--k", 3, "--model", tmp_path / "m", "--workers", 0), s3, 3),
        (("fit", url, "--k", 3, "--model", f"{bucket}/in", "--workers", 0), s3, 2),
        (("inspect", f"{bucket}/nope"), s3, 3),
    ]
    for job, options, code in jobs:
        ran = run(*job, *as_arguments(options))
        assert ran.code == code, (job, ran.err)
        assert SECRET not in ran.out + ran.err


@pytest.mark.parametrize(
    "place",
    [
        "ftp://user:test-secret-canary@127.0.0.1:{port}/lake/a.parquet",
        "http://user:test-secret-canary@127.0.0.1:{port}/lake/a.parquet",
        "http://127.0.0.1:{port}/lake/a.parquet?X-Amz-Signature=test-secret-canary",
    ],
)
def test_a_url_with_a_password_is_shown_without_it(place: str, tmp_path) -> None:
    place = place.format(port=free_port())
    ran = run("fit", place, "--k", 3, "--model", tmp_path / "model", "--workers", 0)
    assert ran.code in (3, 7)  # fsspec says "not found" of an HTTP server that refuses
    assert "/lake/a.parquet" in ran.error
    assert SECRET not in ran.out + ran.err
    with pytest.raises(DkmeansError) as caught:
        dkmeans.Model.load(place)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
