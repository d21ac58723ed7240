"""From the text of a job file to a job: defaults, what is set beside it, and the full text."""

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dkmeans.errors import ArgumentError, JobRefused, MissingInput
from dkmeans.jobs.definition import Job, Registry
from dkmeans.jobs.fitting import Settings, Window
from dkmeans.jobs.load import job_text, load_job
from dkmeans.jobs.reading import Dumper, read
from dkmeans.jobs.rules import DEFAULT_GATES, Rule
from dkmeans.jobs.secrets import Env, revealed
from tests.jobs.jobs import SMALL, job_of, write_job

LARGE = """
task: retrain
name: customers
data:
  url: ['s3://lake/events/dt={{ as_of }}', more]
  columns: [a, b]
  filters:
    - ['dt >= {{ as_of - 7d }}', [kind, in, [a, "{{ as_of | %Y }}"]]]
    - [[amount, ">", 1.5]]
  keys: id
  weight: w
  missing: drop
  on_bad_file: skip
  max_bad_files: 3
  block_bytes: 16 MiB
  sample: 100000
scale: robust
model:
  sweep: 2:5,10
  choose: elbow
  init: scratch
  random_state: 7
  tol: 1e-3
stage: disk
cluster: {local: 2, memory: 4GiB}
checkpoint: s3://lake/checkpoints
registry: s3://models/customers@staging
output: {clusters: "s3://lake/clusters/{{ as_of }}", overwrite: true}
gates:
  churn: {max: 10 %}
  rows: off
  n_rows: {min: 1000}
drift: {cluster_psi: 0.3, false_alarm: 0.01}
limits: {max_passes: 30, max_bytes: 50 GB, max_seconds: 2h}
lock: {overlap: wait, wait: 90min}
retention: {older_than: 90d, keep: 2}
notify: {webhook: {env: HOOK}, token: {env: TOKEN}, command: [mail, ops], when: [refused, failed]}
"""


def test_four_keys_are_enough() -> None:
    job = job_of(SMALL).job
    assert job.data.url == ("/jobs/in",)
    assert job.model == Settings(n_clusters=8)
    assert job.registry == Registry("/jobs/models/nightly")
    assert (job.registry.place, job.registry.name) == ("/jobs/models/nightly", "champion")
    assert job.gates == DEFAULT_GATES
    assert job == replace(
        Job("train", "nightly", job.data, job.model), registry=Registry("/jobs/models/nightly")
    )


def test_a_retrain_forgets_by_time_or_moves_a_window() -> None:
    text = SMALL.replace("task: train", "task: retrain")
    settings = job_of(text.replace("8}", "8, half_life: 30d}")).job.model
    assert isinstance(settings, Settings)
    assert settings.half_life is not None
    assert (settings.half_life.amount, settings.half_life.unit) == (30 * 86_400, "seconds")
    settings = job_of(text.replace("8}", "8, window: {partitions: dt, coresets: kept}}")).job.model
    assert isinstance(settings, Settings)
    assert settings.window == Window(("dt",), "/jobs/kept")


def test_every_key_is_read() -> None:
    job = job_of(LARGE).job
    assert job.data.url == ("s3://lake/events/dt=2026-11-20", "/jobs/more")
    assert job.data.filters == (
        (("dt", ">=", "2026-11-13"), ("kind", "in", ("a", "2026"))),
        (("amount", ">", 1.5),),
    )
    assert job.data.keys == ("id",)
    assert job.data.block_bytes == 16 * 2**20
    assert isinstance(job.model, Settings)
    assert job.model.sweep == (2, 3, 4, 5, 10)
    assert job.model.init == "scratch"
    assert job.registry is not None
    assert (job.registry.place, job.registry.name) == ("s3://models/customers", "staging")
    assert Rule("churn", max=0.1) in job.gates
    assert Rule("n_rows", min=1000) in job.gates
    assert {rule.metric for rule in DEFAULT_GATES} - {rule.metric for rule in job.gates} == {"rows"}
    assert job.drift.thresholds() == {"cluster_psi": 0.3, "false_alarm": 0.01}
    assert (job.limits.max_bytes, job.limits.max_seconds) == (50 * 10**9, 7200)
    assert job.lock.wait == 5400
    assert job.retention.older_than == 90 * 86_400
    assert (job.notify.webhook, job.notify.token) == (Env("HOOK"), Env("TOKEN"))


@pytest.mark.parametrize(
    "text",
    [
        SMALL,
        LARGE,
        "task: predict\nname: n\ndata: {url: in, keys: [id]}\nmodel: s3://m/customers@17\n",
        "task: predict\nname: n\ndata: {url: in, missing: drop}\nregistry: s3://m/customers@17\n",
        SMALL + "output: {model: there, clusters: here}\n",
        SMALL.replace("in}", "'s3://lake/in/part-?[0-9].parquet'}"),
        SMALL.replace("train", "retrain") + "gates: off\n",
        SMALL.replace("{n_clusters: 8}", "{n_clusters: 8, algorithm: minibatch, half_life: 5e3}"),
    ],
)
def test_the_full_text_of_a_job_reads_back_as_it(text: str) -> None:
    first = job_of(text)
    again = job_of(first.text, folder="/elsewhere")
    assert again.job == first.job
    assert again.text == first.text
    assert again.sha256 == first.sha256


def test_the_full_text_depends_on_what_runs_and_on_nothing_else() -> None:
    dated = SMALL.replace("in}", "'in/{{ as_of }}'}")
    later = datetime.datetime(2026, 11, 20, 6, tzinfo=datetime.UTC)
    tomorrow = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)
    assert job_of(dated).sha256 == job_of(f"# a comment\n{dated}", as_of=later).sha256
    assert job_of(dated).sha256 != job_of(dated, as_of=tomorrow).sha256
    assert job_of(SMALL).sha256 == job_of(SMALL, as_of=tomorrow).sha256
    assert job_of(SMALL).sha256 != job_of(SMALL, ["model.n_clusters=9"]).sha256


def test_secrets_are_in_the_job_and_nowhere_else() -> None:
    text = SMALL.replace(
        "{url: in}",
        "{url: 's3://me:hunter2@host/in', storage_options: "
        "{secret: hunter2, key: {env: S3_KEY}, client_kwargs: {token: hunter2}}}",
    )
    run = job_of(text + "notify: {webhook: https://chat/hunter2}\n")
    assert run.job.data.storage_options["secret"] == "hunter2"
    assert run.job.notify.webhook == "https://chat/hunter2"
    for shown in (run.text, repr(run.job.notify), str(run.record()), job_text(run.job)):
        assert "hunter2" not in shown
    assert "env: S3_KEY" in run.text
    assert "client_kwargs" in run.text


def test_references_are_looked_up_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = SMALL.replace("{url: in}", "{url: in, storage_options: {a: {b: [{env: DK_KEY}]}}}")
    monkeypatch.delenv("DK_KEY", raising=False)
    options = job_of(text).job.data.storage_options
    with pytest.raises(ArgumentError, match=r"data\.storage_options\.a\.b refers to .* DK_KEY"):
        revealed(options, "data.storage_options")
    monkeypatch.setenv("DK_KEY", "hunter2")
    assert revealed(options, "data.storage_options") == {"a": {"b": ["hunter2"]}}


@pytest.mark.parametrize(
    ("url", "place", "name"),
    [
        ("s3://models/customers", "s3://models/customers", "champion"),
        ("s3://models/customers@prod", "s3://models/customers", "prod"),
        ("models@prod", "/jobs/models", "prod"),
        ("a@b/models", "/jobs/a@b/models", "champion"),
        ("ftp://me@host/models", "ftp://me@host/models", "champion"),
        ("ftp://me@host", "ftp://me@host", "champion"),
    ],
)
def test_a_registry_may_name_its_alias(url: str, place: str, name: str) -> None:
    registry = job_of(f"{SMALL}registry: {url}\n").job.registry
    assert registry is not None
    assert (registry.place, registry.name) == (place, name)


def test_paths_are_relative_to_the_job_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "jobs").mkdir()
    write_job(tmp_path / "jobs", SMALL.replace("{url: in}", "{url: ../in}"))
    for folder, url in ((tmp_path, "jobs/job.yaml"), (tmp_path / "jobs", "job.yaml")):
        monkeypatch.chdir(folder)
        run = load_job(url)
        assert run.job.data.url == (str(tmp_path / "in"),)
        assert run.job.registry == Registry(str(tmp_path / "jobs" / "models" / "nightly"))


def test_a_job_file_may_lie_on_any_store(tmp_path: Path) -> None:
    import fsspec

    with fsspec.open("memory://jobs/job.yaml", "w") as file:
        file.write(SMALL)
    assert load_job("memory://jobs/job.yaml").job.data.url == ("memory://jobs/in",)


def test_a_job_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"gone\.yaml does not exist"):
        load_job(str(tmp_path / "gone.yaml"))
    with pytest.raises(MissingInput, match="is a folder"):
        load_job(str(tmp_path))


def test_a_predict_has_a_place_for_every_day() -> None:
    text = "task: predict\nname: scores\ndata: {url: in}\nmodel: m\n"
    assert job_of(text).job.output.clusters == "/jobs/clusters/scores/2026-11-20"
    assert job_of(text).job.registry is None


# --set


def test_what_is_set_takes_the_place_of_what_is_written() -> None:
    job = job_of(
        SMALL,
        [
            "model.n_clusters=12",
            "data.columns=[a, no]",
            "data.filters=dt >= {{ as_of - 1d }}",
            "limits.max_passes=3",
            "output=here",
            "model.tol=1e-3",
            "name=other",
        ],
    ).job
    assert job.model == Settings(n_clusters=12, tol=1e-3)
    assert job.data.columns == ("a", "no")
    assert job.data.filters == ((("dt", ">=", "2026-11-19"),),)
    assert job.limits.max_passes == 3
    assert job.output.clusters == "/jobs/here"
    assert job.name == "other"


def test_what_is_set_below_a_text_goes_with_it() -> None:
    text = SMALL + "output: here\nregistry: s3://models@prod\n"
    job = job_of(text, ["output.overwrite=true", "registry.alias="]).job
    assert (job.output.clusters, job.output.overwrite) == ("/jobs/here", True)
    assert job.registry == Registry("s3://models@prod")
    job = job_of(SMALL, ["registry.alias=staging"]).job
    assert job.registry == Registry("/jobs/models/nightly", "staging")


def test_a_secret_that_is_set_below_is_not_shown() -> None:
    text = SMALL.replace("{url: in}", "{url: in, storage_options: {key: hunter2}}")
    with pytest.raises(JobRefused) as refused:
        job_of(text, ["data.storage_options.key.x=1"])
    assert "hunter2" not in str(refused.value)


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    found = [(*path, key) for key in keys]
    return found + [
        inner for key in keys if isinstance(value[key], dict | list)
        for inner in paths_in(value[key], (*path, key))
    ]  # fmt: skip


PLAIN = read(LARGE.encode(), "job.yaml", []).plain()
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["train", "predict", "a > 1", "{{ as_of }}", "off", "URL@17", "2:3", "in"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(paths_in(PLAIN)), ANYTHING), min_size=1, max_size=4),
    st.sampled_from(["train", "retrain", "predict"]),
)
def test_whatever_is_written_is_a_job_or_is_refused_with_places(
    changes: list[tuple[tuple[Any, ...], Any]], task: str
) -> None:
    job = json.loads(json.dumps(PLAIN)) | {"task": task}
    for path, value in changes:
        at = job
        try:
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change has taken it away
    text, messages = yaml.dump(job, Dumper=Dumper), ""
    try:
        run = job_of(text)
        assert job_of(run.text).job == run.job
    except JobRefused as error:
        messages = str(error)
    assert all(re.match(r"job\.yaml:\d+: ", line) for line in messages.splitlines())


def test_the_last_of_what_is_set_counts_and_nothing_is_the_default() -> None:
    job = job_of(SMALL, ["model.n_clusters=3", "model.n_clusters=", "model.sweep=2:4"]).job
    assert job.model == Settings(sweep=(2, 3, 4))


@pytest.mark.parametrize(
    ("sets", "messages"),
    [
        (["model.n_clusters=ten"], ["model.n_clusters: 'ten' should be an integer of at least 1."]),
        (
            ["model.clusters=3"],
            ["model.clusters: is no key of model; did you mean output.clusters or n_clusters?"],
        ),
        (["model"], ["should be KEY=VALUE, as model.n_clusters=8."]),
        (["=3"], ["should be KEY=VALUE, as model.n_clusters=8."]),
        (["model..tol=3"], ["model..tol: should be KEY=VALUE, as model.n_clusters=8."]),
        (
            ["data.url.x=3"],
            ["data.url.x: a key above it has a value without keys; set all of that."],
        ),
        (
            ["stage=ram", "model.tol=-1"],
            [
                "stage: 'ram' should be auto, memory, disk or none.",
                "model.tol: -1 should be a number of at least 0.",
            ],
        ),
        (["data.columns=[a"], None),
        (["data.storage_options=hunter2"], None),
        (["data.storage_options.key=[hunter2"], None),
    ],
)
def test_what_is_set_wrongly_is_named_without_a_line(
    sets: list[str], messages: list[str] | None
) -> None:
    with pytest.raises(JobRefused) as refused:
        job_of(SMALL, sets)
    lines = str(refused.value).splitlines()
    assert all(line.startswith("--set: ") for line in lines)
    assert "hunter2" not in str(refused.value)
    if messages is not None:
        assert lines == [f"--set: {message}" for message in messages]


def test_problems_of_the_file_come_before_those_of_what_is_set() -> None:
    with pytest.raises(JobRefused) as refused:
        job_of(SMALL + "stage: ram\n", ["model.tol=-1"])
    starts = [line.partition(": ")[0] for line in str(refused.value).splitlines()]
    assert starts == ["job.yaml:6", "--set"]


def test_loading_a_job_takes_no_dask_cluster_or_scikit_learn() -> None:
    # what is checked before a job begins should not take long
    from tests.test_imports import loaded_after

    code = "import dkmeans.jobs.load"
    assert loaded_after(code, ("sklearn", "distributed", "pandas")) == []
