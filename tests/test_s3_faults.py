"""Whole jobs over a store that fails: the answer of a quiet day, or an error that says why."""

import io
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import s3fs

import dkmeans
from dkmeans.errors import BudgetSpent, InputChanged, StoreUnreachable, UnreadableFile
from dkmeans.rows.row_counts import RowCounts
from tests.cli.command import PROGRAM
from tests.conftest import wait_until
from tests.fault_proxy import FaultProxy
from tests.swift_server import SwiftServer

N_FILES, GROUPS, GROUP_ROWS = 3, 5, 400
OBJECTS = r"^/[^?]*\.parquet"
"""Paths of requests for files, not of listings."""

SHORT_TIMES = {"config_kwargs": {"read_timeout": 1, "connect_timeout": 2}}


@dataclass
class Lake:
    """Files on a store behind a proxy."""

    root: str
    options: dict
    """For s3fs, through the proxy."""

    direct: dict
    """For s3fs, past the proxy."""

    proxy: FaultProxy

    @property
    def url(self) -> str:
        """The folder of the files that most tests read."""
        return f"{self.root}/lake"

    def read(self, url: str | None = None, *, access: dict | None = None, **kwargs: object):
        """Rows of several blocks that are read again in each pass."""
        options = {**self.options, "dkmeans": {"retry_seconds": 120, **(access or {})}}
        arguments = {"weight": "w", "dtype": "float64", "stage": "none", "block_rows": 700}
        rows = dkmeans.read_parquet(
            url or self.url, storage_options=options, **{**arguments, **kwargs}
        )
        assert rows.n_blocks > 1
        return rows

    def put(self, name: str, table: pa.Table) -> str:
        """Write one file past the proxy."""
        buffer = io.BytesIO()
        pq.write_table(
            table, buffer, row_group_size=GROUP_ROWS, write_page_checksum=True,
            compression="none", use_dictionary=False,
        )  # fmt: skip
        url = f"{self.root}/{name}"
        s3fs.S3FileSystem(**self.direct).pipe_file(url, buffer.getvalue())
        return url


def table_of(seed: int) -> pa.Table:
    rng = np.random.default_rng(seed)
    n = GROUPS * GROUP_ROWS
    X = rng.uniform(-50, 50, size=(6, 4))[rng.integers(0, 6, n)] + rng.normal(size=(n, 4))
    weight = rng.integers(0, 4, n).astype(float)
    return pa.table({f"f{i}": X[:, i] for i in range(4)} | {"w": weight})


def fit(rows, **kwargs: object) -> dkmeans.KMeans:
    asked = {"init": "k-means||", "init_rounds": 2, "tol": 1e-9, "max_iter": 3}
    return dkmeans.KMeans(6, random_state=3, **{**asked, **kwargs}).fit(rows)


def bits(estimator: dkmeans.KMeans) -> tuple[bytes, float]:
    return estimator.cluster_centers_.tobytes(), estimator.inertia_


@pytest.fixture(scope="module")
def everything(s3):
    """Three files on a server behind a proxy, one for all tests."""
    fs = s3fs.S3FileSystem(**s3)
    fs.call_s3("create_bucket", Bucket="faulty")
    with FaultProxy(s3["client_kwargs"]["endpoint_url"], seed=1) as proxy:
        lake = Lake("s3://faulty", proxy.options(s3) | SHORT_TIMES, s3, proxy)
        for number in range(N_FILES):
            lake.put(f"lake/part-{number}.parquet", table_of(number))
        yield lake


@pytest.fixture
def lake(everything: Lake):
    """The files, with nothing failing yet and nothing counted."""
    everything.proxy.clear()
    everything.proxy.forget()
    yield everything
    everything.proxy.clear()


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> dkmeans.KMeans:
    """The fit of the same files on local disk."""
    folder = tmp_path_factory.mktemp("quiet")
    for number in range(N_FILES):
        pq.write_table(
            table_of(number), folder / f"part-{number}.parquet", row_group_size=GROUP_ROWS
        )
    rows = dkmeans.read_parquet(
        str(folder), weight="w", dtype="float64", stage="none", block_rows=700
    )
    assert rows.n_blocks > 8
    return fit(rows)


@pytest.mark.parametrize("client", ["s3fs", "arrow"])
def test_the_quiet_store_gives_the_bits_of_the_local_disk(lake, quiet, client) -> None:
    assert bits(fit(lake.read(access={"client": client}))) == bits(quiet)


@pytest.mark.parametrize(
    "fault",
    [
        *("slow_down", "internal_error", "reset", "drop_reply", "hang"),
        *("reset_body", "truncate", "short", "hang_body"),
    ],
)
def test_a_few_faults_of_a_kind_change_no_bit(lake, quiet, fault) -> None:
    rows = lake.read()
    rule = lake.proxy.fail(fault, method="GET", path=OBJECTS, after=3, times=3)
    assert bits(fit(rows)) == bits(quiet)
    assert rule.hits == 3


@pytest.mark.parametrize("fault", ["slow_down", "short"])
def test_planning_survives_faults_of_listings_and_footers_too(lake, quiet, fault) -> None:
    listings = lake.proxy.fail(fault, path="list-type", times=2)
    others = lake.proxy.fail(fault, times=2)
    assert bits(fit(lake.read())) == bits(quiet)
    assert listings.hits == others.hits == 2


@pytest.mark.parametrize("fault", ["slow_down", "internal_error", "reset"])
def test_no_file_is_missed_because_a_listing_failed(lake, fault) -> None:
    for day in (1, 2, 3):
        lake.put(f"days/day={day}/more/part-0.parquet", table_of(day))
    for pattern in ("days/day=*/more/part-*.parquet", "days/day=*/more", "days/*/more/*.parquet"):
        for after in range(5):
            lake.proxy.clear()
            rule = lake.proxy.fail(fault, path="list-type", times=1, after=after)
            rows = lake.read(f"{lake.root}/{pattern}", keys=["day"])
            assert len(rows.parquet.files) == 3, (pattern, after, rule.hits)


@pytest.mark.parametrize("fault", ["truncate", "short", "hang_body", "internal_error"])
def test_a_fault_that_stays_ends_the_job_and_names_the_file(lake, s3, fault) -> None:
    rows = lake.read(access={"retry_seconds": 2})
    rule = lake.proxy.fail(fault, method="GET", path=r"part-1\.parquet")
    with pytest.raises(StoreUnreachable, match=r"part-1\.parquet") as caught:
        fit(rows)
    assert rule.hits > 1
    assert s3["secret"] not in str(caught.value)


def flip(lake: Lake, **rule: object):
    """Flip a bit in the middle of what passes read of a file."""
    return lake.proxy.fail("flip", method="GET", path=r"part-1\.parquet", **rule)


def test_a_flipped_bit_in_a_page_is_read_again(lake, quiet) -> None:
    rows = lake.read()
    rule = flip(lake, times=1)
    assert bits(fit(rows)) == bits(quiet)
    assert rule.hits == 1


@pytest.mark.parametrize("client", ["s3fs", "arrow"])
def test_a_bit_that_is_flipped_each_time_is_never_accepted(lake, client) -> None:
    rows = lake.read(access={"client": client})
    rule = flip(lake)
    with pytest.raises(UnreadableFile, match=r"part-1\.parquet \(row group \d\)") as caught:
        fit(rows)
    assert caught.value.url.endswith("part-1.parquet")
    # each leaf that meets the file reads twice, and no more
    assert 2 <= rule.hits <= 2 * GROUPS


def test_a_file_with_flipped_bits_is_left_out_where_that_is_asked_for(lake, tmp_path) -> None:
    rows = lake.read(on_bad_file="skip", max_bad_files=1)
    flip(lake)
    fitted = fit(rows)
    assert rows.n_source_rows == 2 * GROUPS * GROUP_ROWS
    assert [url.rpartition("/")[2] for url, _ in rows.parquet.skipped] == ["part-1.parquet"]
    left = pa.concat_tables([table_of(0), table_of(2)])
    X = np.column_stack([left[f"f{i}"] for i in range(4)])
    sq_distances = ((X[:, None, :] - fitted.cluster_centers_) ** 2).sum(2).min(1)
    assert fitted.inertia_ == pytest.approx(left["w"].to_numpy() @ sq_distances)


def test_keys_that_were_passed_and_expired_stop_the_job_without_being_shown(
    lake, s3, caplog
) -> None:
    rows = lake.read()
    lake.proxy.fail("expired_token", after=4)
    with caplog.at_level("DEBUG", logger="dkmeans"), pytest.raises(
        StoreUnreachable, match="credentials"
    ) as caught:  # fmt: skip
        fit(rows)
    assert caught.value.exit_code == 7
    for secret in (s3["secret"], s3["key"]):
        assert secret not in str(caught.value)
        assert secret not in caplog.text


@pytest.fixture
def shared_credentials(lake, tmp_path, monkeypatch):
    """A function that writes a shared credentials file, which holds an old key, and options that
    hold none."""
    place = tmp_path / "credentials"

    def write(key: str) -> None:
        part = tmp_path / "part"
        part.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = x{key}\n")
        part.replace(place)

    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(place))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    write("OLDKEY")
    s3fs.S3FileSystem.clear_instance_cache()
    options = {name: one for name, one in lake.options.items() if name not in ("key", "secret")}
    yield write, {**options, "dkmeans": {"retry_seconds": 60}}
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("method", ["GET", None])
def test_credentials_that_are_renewed_beside_the_job_let_it_go_on(
    lake, quiet, shared_credentials, method
) -> None:
    write, options = shared_credentials
    refused = threading.Event()

    def wanted(method_asked, path, headers):
        if method in (None, method_asked) and "OLDKEY" in headers.get("authorization", ""):
            refused.set()
            return "expired_token"
        return None

    if method is None:
        # a HEAD is answered without a body, and so without a code
        lake.proxy.wanted = wanted

    def renew():
        assert refused.wait(60)
        write("NEWKEY")

    beside = threading.Thread(target=renew)
    beside.start()
    rows = dkmeans.read_parquet(
        lake.url, weight="w", dtype="float64", stage="none", block_rows=700, storage_options=options
    )
    lake.proxy.wanted = wanted
    assert bits(fit(rows)) == bits(quiet)
    beside.join()
    assert refused.is_set()


def test_a_model_whose_write_lost_its_reply_is_there_once(lake, quiet) -> None:
    model, url = quiet.model_, f"{lake.root}/models/m"
    rule = lake.proxy.fail("drop_reply", method="PUT", times=4)
    model.save(url, storage_options=lake.options)
    assert rule.hits == 4
    loaded = dkmeans.Model.load(url, storage_options=lake.options)
    np.testing.assert_array_equal(loaded.centers, model.centers)
    files = s3fs.S3FileSystem(**lake.direct, use_listings_cache=False).find(url)
    assert len(files) == len({name.rpartition("/")[2].partition("-")[0] for name in files})


def test_a_checkpoint_whose_write_lost_its_reply_can_be_gone_on_from(lake, quiet) -> None:
    place = f"{lake.root}/checkpoints/a"
    rule = lake.proxy.fail("drop_reply", method="PUT", share=0.5)
    rows = lake.read().limit(max_passes=4)
    with pytest.raises(BudgetSpent, match="max_passes"):
        fit(rows, checkpoint=place)
    assert rule.hits > 0
    lake.proxy.clear()
    rows = lake.read()
    assert bits(fit(rows, checkpoint=place)) == bits(quiet)
    assert rows.n_passes < quiet.n_passes_ + 4


def test_a_third_of_all_reads_failing_changes_no_bit(lake, quiet) -> None:
    kinds = ("slow_down", "internal_error", "reset", "truncate", "short", "reset_body")
    rules = [lake.proxy.fail(kind, method="GET", share=0.057) for kind in kinds]
    rows = lake.read()
    assert bits(fit(rows)) == bits(quiet)
    n_struck = sum(rule.hits for rule in rules)
    assert n_struck > 0.2 * lake.proxy.count("GET")
    # the requests that failed are no part of the count
    assert rows.known.n_requests < lake.proxy.count("GET", path=OBJECTS)


def outage_in_the_middle(lake: Lake, seconds: float, fault: str) -> dkmeans.KMeans:
    """Fit while the store is down for some seconds, from the fourth pass on."""
    rows = lake.read()
    n_before = 3 * N_FILES * GROUPS
    seen = 0

    def wanted(method, path, headers):
        nonlocal seen
        seen += method == "GET"
        if seen == n_before:
            lake.proxy.outage(seconds, fault)

    lake.proxy.wanted = wanted
    fitted = fit(rows)
    assert lake.proxy.count(outcome=fault) >= 3
    return fitted


@pytest.mark.parametrize("fault", ["slow_down", "reset"])
def test_a_short_outage_changes_no_bit(lake, quiet, fault) -> None:
    assert bits(outage_in_the_middle(lake, 3, fault)) == bits(quiet)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["slow_down", "reset", "hang"])
def test_an_outage_of_twenty_seconds_changes_no_bit(lake, quiet, fault) -> None:
    assert bits(outage_in_the_middle(lake, 20, fault)) == bits(quiet)


@pytest.mark.slow
def test_a_worker_that_starts_in_an_outage_waits_for_its_end(lake, quiet) -> None:
    from distributed import Client, LocalCluster

    rows = lake.read()
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        rows = lake.read(client=client)
        lake.proxy.outage(10, "reset")
        assert bits(fit(rows)) == bits(quiet)


def test_a_file_replaced_between_planning_and_reading_is_noticed(lake) -> None:
    lake.put("changing/a.parquet", table_of(7))
    rows = lake.read(f"{lake.root}/changing")
    lake.put("changing/a.parquet", table_of(8))
    with pytest.raises(InputChanged, match=r"changing/a\.parquet has changed"):
        fit(rows)


def test_a_file_replaced_between_two_passes_is_noticed(lake) -> None:
    lake.put("changing/b.parquet", table_of(7))
    rows = lake.read(f"{lake.root}/changing/b.parquet")
    fit(rows)
    lake.put("changing/b.parquet", table_of(8))
    with pytest.raises(InputChanged):
        fit(rows)


def test_a_changed_file_is_not_skipped_as_a_bad_one(lake) -> None:
    lake.put("changing/c.parquet", table_of(7))
    lake.put("changing/d.parquet", table_of(7))
    files = [f"{lake.root}/changing/{name}.parquet" for name in "cd"]
    rows = lake.read(files, on_bad_file="skip")
    lake.put("changing/d.parquet", table_of(8))
    with pytest.raises(InputChanged):
        fit(rows)


def counted(lake: Lake, rows, path: str) -> tuple[int, int]:
    """Requests that rows know of, and those for some paths that the proxy saw."""
    return rows.known.n_requests, lake.proxy.count("GET", path=path)


@pytest.mark.parametrize("stage", ["none", "memory", "disk"])
def test_the_requests_that_rows_count_are_those_that_the_store_saw(lake, stage) -> None:
    urls = [lake.put(f"counted/{stage}-{i}.parquet", table_of(i)) for i in range(N_FILES)]
    path = rf"counted/{stage}-\d\.parquet"
    rows = lake.read(urls, stage=stage)
    plan = rows.plan(dkmeans.KMeans(6, max_iter=3))
    assert lake.proxy.count("GET", path=path) == N_FILES, "the footers"
    lake.proxy.forget()
    rows.reduce(RowCounts.from_block)
    known, seen = counted(lake, rows, path)
    assert known == seen == N_FILES * GROUPS <= plan.source_requests
    fit(rows)
    known, seen = counted(lake, rows, path)
    assert known == seen
    if stage == "none":
        assert seen > 3 * N_FILES * GROUPS
    else:
        assert seen == N_FILES * GROUPS
    rows.close()


def test_requests_are_counted_and_bounded_on_workers_too(lake, client) -> None:
    rows = lake.read(f"{lake.url}/part-0.parquet", client=client, stage="memory")
    plan = rows.plan(dkmeans.KMeans(6))
    lake.proxy.forget()
    rows.reduce(RowCounts.from_block)
    known, seen = counted(lake, rows, OBJECTS)
    assert known == seen >= GROUPS
    assert seen <= plan.source_requests
    rows.close()


def test_requests_of_a_long_footer_are_counted_too(lake, client) -> None:
    wide = pa.table({f"f{i}": np.arange(40.0) + i for i in range(700)} | {"w": np.ones(40)})
    url = lake.put("wide/a.parquet", wide)
    rows = lake.read(url, block_rows=20, client=client)
    lake.proxy.forget()
    rows.reduce(RowCounts.from_block)
    known, seen = counted(lake, rows, OBJECTS)
    assert known == seen
    rows.close()


def test_no_more_requests_are_under_way_than_the_option_says(lake, quiet) -> None:
    rows = lake.read(access={"requests": 2})
    lake.proxy.forget()
    lake.proxy.fail("delay", share=0.3, seconds=0.05)
    assert bits(fit(rows)) == bits(quiet)
    assert lake.proxy.most_in_flight == 2


def test_the_next_row_group_comes_while_a_block_is_computed(lake, quiet) -> None:
    rows = lake.read(f"{lake.url}/part-0.parquet", block_rows=GROUP_ROWS)
    leaves = rows.layout.leaves
    source = replace(
        leaves[0].source, blocks=tuple(block for leaf in leaves for block in leaf.source.blocks)
    )
    numbers = [number for number, _ in source.blocks]
    assert len(numbers) == GROUPS
    lake.proxy.forget()
    reader = source.open(None, numbers)
    n_requests = n_bytes = 0
    for n_read, number in enumerate(numbers, 1):
        block, cost = reader.read(number)
        n_requests, n_bytes = n_requests + cost.n_requests, n_bytes + cost.n_bytes
        first = (n_read - 1) * GROUP_ROWS
        expected = table_of(0).slice(first, GROUP_ROWS)
        np.testing.assert_array_equal(block.X[:, 2], expected["f2"])
        expect_requests(lake, min(n_read + 1, GROUPS))
    reader.close()
    assert n_requests == lake.proxy.count("GET", path=OBJECTS) == GROUPS
    assert n_bytes == rows.parquet.n_bytes


def expect_requests(lake: Lake, n: int) -> None:
    """Wait until so many requests have come, and see that it stays so."""
    wait_until(lambda: lake.proxy.count("GET", path=OBJECTS) >= n)
    time.sleep(0.05)
    assert lake.proxy.count("GET", path=OBJECTS) == n


@pytest.mark.parametrize("after", [1, 2, 7])
def test_a_bit_that_is_flipped_in_what_is_read_ahead_is_read_again(lake, after) -> None:
    # blocks of several row groups: all but the first come ahead of time
    expected = fit(lake.read(block_rows=3 * GROUP_ROWS))
    rows = lake.read(block_rows=3 * GROUP_ROWS)
    rule = lake.proxy.fail("flip", method="GET", path=OBJECTS, times=1, after=after)
    assert bits(fit(rows)) == bits(expected)
    assert rule.hits == 1


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
)
def test_a_job_that_waits_for_its_store_can_be_stopped(lake, tmp_path, number, code) -> None:
    options = [
        f"key={lake.options['key']}",
        f"secret={lake.options['secret']}",
        f"endpoint_url={lake.proxy.url}",
        "client_kwargs.region_name=us-east-1",
    ]
    reads = lake.proxy.fail("delay", method="GET", path=OBJECTS)
    program = subprocess.Popen(
        [
            *(*PROGRAM, "fit", lake.url, "--k", "6", "--weight", "w", "--tol", "0"),
            *("--stage", "none", "--workers", "0", "--model", str(tmp_path / "model")),
            *(word for option in options for word in ("--storage-option", option)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: reads.hits > N_FILES)
        lake.proxy.clear()
        lake.proxy.fail("slow_down")
        wait_until(lambda: lake.proxy.count(outcome="slow_down") > 8)
        program.send_signal(number)
        # ten minutes are what its requests would be tried again for
        _, err = program.communicate(timeout=45)
        assert program.returncode == code, err
    finally:
        program.kill()
        program.communicate()
    assert not (tmp_path / "model").exists()


@pytest.fixture(scope="module")
def swift():
    """A Swift server, or a skip where it cannot run."""
    with SwiftServer() as server:
        yield server


def test_a_third_of_reads_failing_in_front_of_swift_changes_no_bit(swift, quiet) -> None:
    with FaultProxy(swift.endpoint_url, seed=2) as proxy:
        options = proxy.options(swift.storage_options) | SHORT_TIMES
        lake = Lake(swift.create_bucket(), options, swift.storage_options, proxy)
        for number in range(N_FILES):
            lake.put(f"lake/part-{number}.parquet", table_of(number))
        kinds = ("slow_down", "internal_error", "reset", "truncate", "reset_body")
        rules = [proxy.fail(kind, method="GET", share=0.07) for kind in kinds]
        rows = lake.read()
        assert bits(fit(rows)) == bits(quiet)
        assert sum(rule.hits for rule in rules) > 0.2 * proxy.count("GET")
        proxy.clear()

        lake.proxy.fail("drop_reply", method="PUT", times=2)
        url = f"{lake.root}/model"
        quiet.model_.save(url, storage_options=options)
        loaded = dkmeans.Model.load(url, storage_options=options)
        np.testing.assert_array_equal(loaded.centers, quiet.model_.centers)

        rows = lake.read()
        lake.put("lake/part-1.parquet", table_of(9))
        with pytest.raises(InputChanged, match=r"part-1\.parquet"):
            fit(rows)
