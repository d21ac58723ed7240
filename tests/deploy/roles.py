"""All that each role asks of a store: a trainer, a reader, a server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from dkmeans.registry import cleanup
from tests.cli.command import Ran, run
from tests.conftest import wait_until
from tests.test_s3 import as_arguments

DATA, MODELS = "s3://my-lake/events", "s3://my-models/customers"
COLUMNS = ["f0", "f1", "f2", "f3"]


def write_job(
    folder: Path, name: str, options: dict[str, Any], data: dict[str, Any], **more: Any
) -> Path:
    data = {"url": DATA, "storage_options": options, **data}
    job = {"name": name, "data": data, "cluster": {"local": 0}, **more}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def training(folder: Path, options: dict[str, Any]) -> Iterator[Ran]:
    """All that a trainer does: train, retrain windows, predict, look after the registry."""
    given = as_arguments(options)
    window = {"partitions": "dt", "coresets": "s3://my-models/coresets/customers"}
    job = write_job(
        folder,
        "weekly",
        options,
        {"columns": COLUMNS, "filters": ["dt >= {{ as_of - 2d }}", "dt < {{ as_of }}"]},
        task="retrain",
        model={"n_clusters": 4, "window": window},
        registry=MODELS,
        retention={"older_than": "30d"},
        gates="off",
    )
    train = write_job(
        folder,
        "first",
        options,
        {"columns": COLUMNS},
        task="train",
        model={"n_clusters": 4},
        registry=MODELS,
        checkpoint="s3://my-models/checkpoints",
    )
    predict = write_job(
        folder,
        "scores",
        options,
        {},
        task="predict",
        registry=MODELS,
        output="s3://my-lake/clusters/scores",
    )
    yield run("run", train)
    yield run("run", job, "--as-of", "2026-11-19")
    yield run("run", job, "--as-of", "2026-11-20")
    yield run("run", predict)
    # other clusters, in the place of those
    yield run(
        "run", predict, "--set", "data.filters=dt > 2026-11-17", "--set", "output.overwrite=true"
    )
    yield run("models", "promote", MODELS, "1", "--reason", "try", *given)
    yield run("models", "rollback", MODELS, "--reason", "back", *given)
    yield run("models", "tag", MODELS, "1", "looked-at=yes", *given)
    yield run("models", "tag", MODELS, "1", "looked-at", "--remove", *given)
    yield run("models", "name", MODELS, "0=night owls", *given)
    collection = ("models", "gc", MODELS, "--older-than-days", "0", "--keep", "0", *given)
    with a_version_that_comes_to_be_needed():
        yield run(*collection)
    yield run(*collection)
    yield run("models", "forget-rows", window["coresets"], *given)
    yield run("runs", "list", MODELS, *given)


@contextmanager
def a_version_that_comes_to_be_needed() -> Iterator[None]:
    """Have an alias move to what a cleanup has begun to remove: the note of that is taken back."""
    needed, calls = cleanup._needed, []

    def later(*given: Any) -> set[int]:
        calls.append(given)
        return needed(*given) if len(calls) == 1 else set(range(100))

    with mock.patch.object(cleanup, "_needed", later):
        yield
    assert len(calls) > 1


def reading(folder: Path, options: dict[str, Any]) -> Iterator[Ran]:
    """All that a reader does; what it writes is on its own machine."""
    given, local = as_arguments(options), ("--workers", 0)
    yield run("models", "list", MODELS, *given)
    yield run("models", "show", MODELS, "champion", *given)
    yield run("models", "compare", f"{MODELS}@champion", f"{MODELS}@challenger", *given)
    yield run("runs", "list", MODELS, *given)
    yield run("inspect", f"{MODELS}@champion", *given)
    yield run("drift", f"{MODELS}@champion", DATA, *local, *given)
    yield run("evaluate", f"{MODELS}@champion", DATA, *local, *given)
    yield run("predict", f"{MODELS}@champion", DATA, folder / "out", *local, *given)


def serving(folder: Path, options: dict[str, Any]) -> Iterator[Ran]:
    """All that a server asks of the store: what the alias points to, and the model."""
    import dkmeans

    registry = dkmeans.Registry(MODELS, options)
    yield told(lambda: registry.resolve("champion"))
    yield told(lambda: registry.load("champion"))
    yield told(lambda: registry.load(registry.resolve("champion")))
    try:
        from dkmeans.service.following import FollowedModel
    except ImportError:
        # the extra `serve` is not installed
        return
    models = FollowedModel(f"{MODELS}@champion", options, 0.1)
    yield told(models.start)
    wait_until(lambda: models.n_looks > 2 or models.n_failures)
    models.stop()
    yield Ran(7 if models.n_failures else 0, "", str(models.problem))


def told(call: Any) -> Ran:
    from dkmeans.errors import DkmeansError

    try:
        call()
    except DkmeansError as error:
        return Ran(error.exit_code, "", str(error))
    return Ran(0, "", "")


FLOWS = {"trainer": training, "reader": reading, "server": serving}
NOT_A_FAILURE = (0, 6)


def refused(role: str, folder: Path, options: dict[str, Any]) -> Ran | None:
    """What of a flow fails first; None if nothing does."""
    for ran in FLOWS[role](folder, options):
        if ran.code not in NOT_A_FAILURE:
            return ran
    return None
