"""The whole job over `s3://`, against a server process, with keys, weights and hive partitions."""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

import dkmeans
from dkmeans.errors import InputChanged
from dkmeans.rows.clusters_out import read_manifest
from tests.cli.command import run, run_apart
from tests.conftest import free_port

DAYS = {"day=1/region=north": 900, "day=1/region=south": 400, "day=2/region=north": 700}


def as_arguments(options: dict) -> list[str]:
    """The storage options as the command line takes them."""
    return [
        word
        for key, value in (
            ("key", options["key"]),
            ("secret", options["secret"]),
            ("client_kwargs.endpoint_url", options["client_kwargs"]["endpoint_url"]),
            ("client_kwargs.region_name", options["client_kwargs"]["region_name"]),
        )
        for word in ("--storage-option", f"{key}={value}")
    ]


def put(fs: s3fs.S3FileSystem, table: pa.Table, path: str, row_group_rows: int = 150) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=row_group_rows)
    fs.pipe_file(path, buffer.getvalue())


@pytest.fixture
def lake(bucket: str, s3: dict, blobs) -> tuple[str, np.ndarray, np.ndarray]:
    """Two days and two regions on S3: the URL, the rows in file order, their weights."""
    fs = s3fs.S3FileSystem(**s3)
    n = sum(DAYS.values())
    X, weight = blobs[0][:n], (np.arange(n) % 3).astype(float)
    table = pa.table(
        {"id": np.arange(n), "w": weight, "text": ["x"] * n} | {f"f{i}": X[:, i] for i in range(4)}
    )
    start = 0
    for folder, rows in DAYS.items():
        put(fs, table.slice(start, rows), f"{bucket}/lake/{folder}/part-0.parquet")
        start += rows
    fs.pipe_file(f"{bucket}/lake/_SUCCESS", b"")
    return f"{bucket}/lake", X, weight


def read_clusters(url: str, s3: dict) -> pa.Table:
    fs = s3fs.S3FileSystem(**s3)
    files = [f"{url}/{file['path']}" for file in read_manifest(url, s3)["files"]]
    return pa.concat_tables([pq.read_table(io.BytesIO(fs.cat_file(file))) for file in files])


def test_the_whole_job_runs_over_s3(lake, bucket: str, s3: dict) -> None:
    url, X, weight = lake
    model_url, output, options = f"{bucket}/models/a", f"{bucket}/clusters", as_arguments(s3)
    # the server's credentials are given by option alone
    clean = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    ran = run_apart(
        "fit", url, "--k", 10, "--model", model_url, "--output", output, "--keys", "id,day,region",
        "--weight", "w", "--seed", 1, "--dtype", "float64", "--workers", 0, "--json", *options,
        env=clean,
    )  # fmt: skip
    result = ran.json
    assert result["rows"] == len(X)
    assert result["n_features"] == 4
    assert result["bytes_read"] > 0
    for name in ("day (key)", "region (key)", "id (key)", "w (weight)", "text (string)"):
        assert name in ran.err

    model = dkmeans.Model.load(model_url, storage_options=s3)
    assert model.feature_names == ("f0", "f1", "f2", "f3")
    assert [file["url"] for file in model.provenance["files"]] == [
        f"{url}/{folder}/part-0.parquet" for folder in sorted(DAYS)
    ]
    fs = s3fs.S3FileSystem(**s3)
    tags = [fs.info(file["url"])["ETag"].strip('"') for file in model.provenance["files"]]
    assert [file["version"] for file in model.provenance["files"]] == tags
    np.testing.assert_allclose(
        model.scaling.shift, np.average(X, axis=0, weights=weight), rtol=1e-9
    )

    table = read_clusters(output, s3)
    assert table["id"].to_pylist() == list(range(len(X)))
    assert table["day"].to_pylist() == [1] * 1300 + [2] * 700
    assert table["region"].to_pylist() == ["north"] * 900 + ["south"] * 400 + ["north"] * 700
    np.testing.assert_array_equal(table["cluster_id"], model.predict(X))
    np.testing.assert_allclose(np.bincount(model.predict(X), weight), model.weights)

    described = run("inspect", model_url, "--json", *options).json
    assert [cluster["size"] for cluster in described["clusters"]] == model.weights.tolist()

    again = run(
        "predict", model_url, f"{url}/day=2/*/*.parquet", f"{bucket}/monday", "--keys", "id",
        "--workers", 0, *options,
    )  # fmt: skip
    assert again.code == 0, again.err
    monday = read_clusters(f"{bucket}/monday", s3)
    assert monday["id"].to_pylist() == list(range(1300, 2000))
    np.testing.assert_array_equal(monday["cluster_id"], table["cluster_id"].slice(1300))


def test_the_same_bits_come_from_s3_as_from_disk(lake, s3: dict, tmp_path) -> None:
    url, _, _ = lake
    s3fs.S3FileSystem(**s3).get(url, str(tmp_path / "lake"), recursive=True)
    assert len(list((tmp_path / "lake").rglob("*.parquet"))) == 3
    centers = []
    for place, options in ((url, s3), (str(tmp_path / "lake"), None)):
        rows = dkmeans.read_parquet(
            place, weight="w", keys=["id"], storage_options=options, block_rows=90
        )
        assert rows.n_blocks > 8
        estimator = dkmeans.KMeans(5, random_state=3, scale="standard").fit(rows)
        centers.append(estimator.cluster_centers_.tobytes())
    assert centers[0] == centers[1]


def test_workers_get_the_storage_options_too(lake, bucket: str, s3: dict, client) -> None:
    url, X, _ = lake
    rows = dkmeans.read_parquet(
        url, weight="w", keys=["id"], storage_options=s3, client=client, block_rows=90
    )
    estimator = dkmeans.KMeans(5, random_state=3).fit(rows)
    output = f"{bucket}/out"
    manifest = dkmeans.write_clusters(estimator.model_, rows, output, storage_options=s3)
    assert manifest["rows"] == len(X)
    here = dkmeans.read_parquet(url, weight="w", keys=["id"], storage_options=s3, block_rows=90)
    again = dkmeans.KMeans(5, random_state=3).fit(here)
    assert again.cluster_centers_.tobytes() == estimator.cluster_centers_.tobytes()


def test_a_plan_over_s3_needs_the_footers_only(lake, s3: dict) -> None:
    url, X, _ = lake
    fs = s3fs.S3FileSystem(**s3)

    def planned() -> dict:
        plan = run("plan", url, "--k", 3, "--keys", "id", "--json", *as_arguments(s3)).json
        # names what memory and disk are free, which others change meanwhile
        assert plan.pop("stage_reason")
        return plan

    before = planned()
    assert before["rows"] == len(X)
    for folder in DAYS:
        path = f"{url}/{folder}/part-0.parquet"
        whole = fs.cat_file(path)
        n_footer = int.from_bytes(whole[-8:-4], "little") + 8
        fs.pipe_file(path, b"PAR1" + b"\xff" * (len(whole) - n_footer - 4) + whole[-n_footer:])
    assert planned() == before


def test_credentials_of_the_environment_do_as_well(lake, s3: dict, monkeypatch) -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": s3["key"],
        "AWS_SECRET_ACCESS_KEY": s3["secret"],
        "AWS_ENDPOINT_URL": s3["client_kwargs"]["endpoint_url"],
        "AWS_DEFAULT_REGION": s3["client_kwargs"]["region_name"],
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    ran = run("plan", lake[0], "--k", 3, "--keys", "id", "--json")
    s3fs.S3FileSystem.clear_instance_cache()
    assert ran.json["rows"] == len(lake[1])


@pytest.mark.parametrize(
    ("place", "words"),
    [("lake/nope", "does not exist"), ("lake/day=1/nope.parquet", "does not exist")],
)
def test_a_key_that_is_not_there(lake, bucket: str, s3: dict, place: str, words: str) -> None:
    ran = run(
        "fit",
        f"{bucket}/{place}",
        "--k",
        3,
        "--model",
        f"{bucket}/m",
        "--workers",
        0,
        *as_arguments(s3),
    )
    assert ran.code == 3
    assert place in ran.error
    assert words in ran.error


def test_a_bucket_that_is_not_there(lake, bucket: str, s3: dict) -> None:
    options = ("--k", 3, "--workers", 0, *as_arguments(s3))
    ran = run("fit", "s3://no-such-bucket-here/lake", "--model", f"{bucket}/m", *options)
    assert ran.code == 3
    assert "no-such-bucket-here" in ran.error
    ran = run("fit", lake[0], "--keys", "id", "--model", "s3://no-such-bucket-here/m", *options)
    assert ran.code in (3, 7)
    assert "no-such-bucket-here" in ran.error


def test_a_model_that_is_not_there(bucket: str, s3: dict) -> None:
    ran = run("inspect", f"{bucket}/nope", *as_arguments(s3))
    assert ran.code == 3
    assert "no model at" in ran.error


def test_a_server_that_does_not_answer(s3: dict) -> None:
    options = {
        **s3,
        "client_kwargs": {**s3["client_kwargs"], "endpoint_url": f"http://127.0.0.1:{free_port()}"},
    }
    ran = run("inspect", "s3://bucket/model", *as_arguments(options))
    assert ran.code == 7
    assert "s3://bucket/model" in ran.error
    assert "endpoint" in ran.error
    assert s3["secret"] not in ran.err


def test_an_endpoint_that_is_no_url(s3: dict) -> None:
    options = {**s3, "client_kwargs": {**s3["client_kwargs"], "endpoint_url": "minio:9000"}}
    ran = run("inspect", "s3://bucket/model", *as_arguments(options))
    assert ran.code in (2, 7)
    assert "endpoint" in ran.error


def test_an_object_that_is_replaced_after_planning_is_noticed(lake, s3: dict) -> None:
    url, _, _ = lake
    rows = dkmeans.read_parquet(url, keys=["id", "w"], storage_options=s3, stage="none")
    fs = s3fs.S3FileSystem(**s3)
    path = f"{url}/day=2/region=north/part-0.parquet"
    table = pq.read_table(io.BytesIO(fs.cat_file(path)))
    put(fs, table.set_column(3, "f0", pa.array(table["f0"].to_numpy() + 1.0)), path)
    with pytest.raises(InputChanged, match=r"day=2.*changed since it was planned"):
        dkmeans.KMeans(3, random_state=0).fit(rows)


def test_a_manifest_on_s3_is_written_last(lake, bucket: str, s3: dict, monkeypatch) -> None:
    url, _, _ = lake
    model = (
        dkmeans.KMeans(3, random_state=0)
        .fit(dkmeans.read_parquet(url, keys=["id", "w"], storage_options=s3))
        .model_
    )
    put_file = s3fs.S3FileSystem._put_file

    async def failing(fs: s3fs.S3FileSystem, local: str, remote: str, **kwargs: object) -> None:
        if remote.endswith(".json"):
            raise OSError("the network went")
        await put_file(fs, local, remote, **kwargs)

    rows = dkmeans.read_parquet(url, keys=["id", "w"], storage_options=s3)
    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "_put_file", failing)
        s3fs.S3FileSystem.clear_instance_cache()  # instances hold on to the method they began with
        with pytest.raises(OSError, match="the network went"):
            dkmeans.write_clusters(model, rows, f"{bucket}/out", storage_options=s3)
    s3fs.S3FileSystem.clear_instance_cache()
    assert not s3fs.S3FileSystem(**s3).exists(f"{bucket}/out/_dkmeans.json")
    again = dkmeans.read_parquet(url, keys=["id", "w"], storage_options=s3)
    manifest = dkmeans.write_clusters(model, again, f"{bucket}/out", storage_options=s3)
    assert again.bytes_read == 0
    assert json.loads(json.dumps(manifest)) == read_manifest(f"{bucket}/out", s3)
