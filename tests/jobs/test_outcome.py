"""Jobs from Python in one call, and how what they have done is shown."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import dkmeans
from dkmeans.errors import ArgumentError
from tests.conftest import write_parquet
from tests.jobs.jobs import write_job

TEXT = """
task: retrain
name: weekly
data: {url: "in/{{ as_of }}"}
model: {n_clusters: 4, random_state: 7}
cluster: {local: 0}
registry: reg
gates: {rows: {min: 50 %}, missing_share: "off"}
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dkmeans.Outcome]:
    """A first model, an honest retrain, and one of garbage."""
    folder = tmp_path_factory.mktemp("jobs")
    rng = np.random.default_rng(1)
    X = 10 * rng.normal(size=(4, 3))[rng.integers(0, 4, 1200)] + rng.normal(size=(1200, 3))
    noise = np.random.default_rng(0).normal(X.mean(axis=0), X.std(axis=0), X.shape)
    job = str(write_job(folder, TEXT))
    found = []
    for day, rows in ((20, X), (21, X[::-1]), (22, noise)):
        write_parquet(folder / "in" / f"2026-11-{day}", rows, n_files=1)
        found.append(dkmeans.run_job(job, as_of=f"2026-11-{day}", sets={"lock.stale": 60}))
    return found


def test_a_job_is_run_from_its_file_in_one_call(outcomes: list[dkmeans.Outcome]) -> None:
    first, again, garbage = outcomes
    assert [one.exit_code for one in outcomes] == [0, 0, 5]
    assert [one.result["version"] for one in outcomes] == [1, 2, 3]
    assert first.result["champion"] == 1
    assert again.result["promoted"]
    assert garbage.refusal is not None
    # a record was kept of each
    names = dkmeans.Registry(first.result["registry"]).versions()
    assert len(names) == 3


def test_sets_are_what_the_command_line_has(tmp_path: Path) -> None:
    job = str(write_job(tmp_path, TEXT))
    write_parquet(tmp_path / "in" / "2026-11-20", np.arange(40.0).reshape(20, 2), n_files=1)
    by_text = dkmeans.load_job(job, as_of="2026-11-20", sets=["model.n_clusters=2"])
    found = dkmeans.run_job(job, as_of="2026-11-20", sets={"model.n_clusters": 2})
    assert found.result["sha256"] == by_text.sha256
    assert found.result["n_clusters"] == 2
    assert dkmeans.run_job(by_text).result["unchanged"]
    for given in ({"as_of": "2026-11-20"}, {"sets": ["model.n_clusters=2"]}):
        with pytest.raises(ArgumentError, match="was read already; pass them to load_job"):
            dkmeans.run_job(by_text, **given)


def test_an_outcome_is_a_row_a_dict_text_and_html(outcomes: list[dkmeans.Outcome]) -> None:
    _, again, garbage = outcomes
    frame = pd.concat([one.to_frame() for one in outcomes], ignore_index=True)
    assert frame.version.tolist() == [1, 2, 3]
    assert frame.exit_code.tolist() == [0, 0, 5]
    assert frame["figures.churn"].tolist()[1:] == [one.result["churn"] for one in outcomes[1:]]
    told = garbage.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told["refusal"] == garbage.refusal
    assert told["result"]["gate"] == "refused"
    text = str(garbage)
    assert text.startswith("Job weekly (retrain) as of 2026-11-22: exit code 5")
    assert all(line in text for line in garbage.lines if len(line) < 100)
    assert "Gate: refused" in text
    assert "Gate: passed" in str(again)
    assert "<table>" in again._repr_html_()
    assert again.verdict is not None
    assert again.verdict.to_dict() == again.record["verdict"]
