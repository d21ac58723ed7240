"""Retrains on a store that does not keep writers apart: OpenStack Swift behind its S3 interface."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dkmeans.errors import StoreUnfit
from dkmeans.jobs.records import latest
from dkmeans.jobs.tally import Tally
from dkmeans.registry import probe
from dkmeans.registry.registry import Registry
from dkmeans.rows.progress import listening
from dkmeans.storage.filesystem import remember
from tests.jobs.test_retrain import batch, deliver, retrain
from tests.swift_server import SwiftServer


@pytest.fixture(scope="module")
def swift() -> Iterator[SwiftServer]:
    with SwiftServer() as server:
        yield server


@pytest.fixture(autouse=True)
def power_stays_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare waiting for disks."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def test_it_is_refused_before_data_are_read_unless_a_single_writer_is_declared(
    swift: SwiftServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = swift.storage_options
    url = f"{swift.create_bucket()}/models"
    sets = (f"registry={url}", f"data.storage_options={json.dumps(options)}")
    deliver(tmp_path, batch(1))
    tally = Tally()
    with listening(tally), pytest.raises(StoreUnfit, match="does not keep writers apart"):
        retrain(tmp_path, *sets)
    assert tally.costs().bytes == tally.costs().passes == 0
    # nobody has looked for them either
    with pytest.raises(StoreUnfit):
        retrain(tmp_path, *sets, "data.url=nowhere")
    records, _ = latest(url, 9, remember(options))
    assert [(one.outcome, one.exit_code) for one in records] == [("failed", 2)] * 2
    registry = Registry(url, options)
    assert registry.versions() == []

    monkeypatch.setattr(probe, "ROUNDS", 1)
    assert registry.check(single_writer=True).is_single_writer
    for day, seed in ((20, 1), (21, 2)):
        deliver(tmp_path, batch(seed, 0.05 * seed))
        assert retrain(tmp_path, *sets, day=day).result["promoted"]
    assert retrain(tmp_path, *sets, day=day).result["unchanged"]
    assert registry.aliases() == {"champion": 2, "challenger": 2}
    assert registry.load("champion").n_clusters == 4
