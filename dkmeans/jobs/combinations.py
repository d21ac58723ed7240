"""What keys of a job cannot be together, and what a task needs or does not take."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import fields

from dkmeans.jobs.context import Context
from dkmeans.jobs.definition import Drift, Job, Lock, Retention
from dkmeans.jobs.fitting import Data, Settings
from dkmeans.jobs.model_combinations import RETRAIN_ONLY, Found, fitted, kind_of_model
from dkmeans.jobs.problems import Where

_MODEL_S = "{} is not for task: predict, where the model decides; remove it"
_NO_PREDICT = "{} is not for task: predict; remove it"

_RETRAIN_S = (
    "gates",
    *(
        f"{section.__name__.lower()}.{one.name}"
        for section in (Drift, Lock, Retention)
        for one in fields(section)
    ),
)

_NOT_FOR: dict[str, dict[str, str]] = {
    "train": dict.fromkeys(_RETRAIN_S, RETRAIN_ONLY),
    "retrain": {
        "output.sweep": "{} goes with task: train; a retrain keeps the model that it chooses of a "
        "sweep, and no other; remove it"
    },
    "predict": {
        **dict.fromkeys(("scale", "data.columns", "data.dtype"), _MODEL_S),
        **dict.fromkeys((*_RETRAIN_S, "output.model", "output.sweep", "data.sample"), _NO_PREDICT),
        "data.weight": "{} is not for task: predict, which takes rows one by one; remove it",
        "data.block_bytes": "{} is not for task: predict, which takes files one by one; remove it",
        "stage": "{} is not for task: predict, which reads its rows once; remove it",
        "checkpoint": "{} is not for task: predict, which goes on by itself; remove it",
    },
}
"""Keys that a task has no use for."""


def check(job: Job, context: Context) -> None:
    """Refuse what cannot be together; what was refused by itself is left alone."""
    found = [one for rule in _RULES for one in rule(job, context.chosen)]
    for path, text in found:
        if not any(_touch(path, refused) for refused in context.refused):
            context.tell(_where(context, path), path, text.replace("{}", _shown(context, path)))


def _where(context: Context, path: str) -> Where:
    """Where a key is written; of one that is not, where the one is that it would be below."""
    while path:
        if path in context.given:
            return context.given[path]
        path = path.rpartition(".")[0]
    return context.root


def _shown(context: Context, path: str) -> str:
    """The value of a key, as it is written."""
    return context.shown.get(path, "it")


def _touch(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def _task_s(job: Job, chosen: Collection[str]) -> Iterator[Found]:
    """Keys that the task has no use for."""
    for path, text in _NOT_FOR.get(job.task, {}).items():
        if path in chosen:
            yield path, text


def _data(job: Job, chosen: Collection[str]) -> Iterator[Found]:
    data: Data | None = job.data
    if data is None:
        # it is missing, which is said already
        return
    if "data.max_bad_files" in chosen and data.on_bad_file == "raise":
        yield "data.max_bad_files", "{} goes with on_bad_file: skip; add that, or remove it"
    if data.sample is not None and data.sample > 1 and not isinstance(data.sample, int):
        yield (
            "data.sample",
            f"{data.sample:g} should be a share up to 1, as 0.05, or a whole number of rows",
        )
    if data.weight is not None and data.weight in (data.columns or ()):
        yield "data.weight", f"{data.weight!r} is a feature, too; take it out of data.columns"
    for name in data.keys:
        if name in ("cluster_id", "distance", "second_distance"):
            yield "data.keys", f"{name!r} is the name of a column that is written; rename it"


def _cluster(job: Job, chosen: Collection[str]) -> Iterator[Found]:
    cluster = job.cluster
    ways = [one for one in ("local", "address", "factory") if f"cluster.{one}" in chosen]
    if len(ways) > 1:
        yield (
            f"cluster.{ways[-1]}",
            f"{{}} is there beside {ways[0]}; a cluster has one: remove one",
        )
    tls = ("tls_ca", "tls_cert", "tls_key")
    written = [name for name in tls if f"cluster.{name}" in chosen]
    if written and cluster.address is None:
        yield f"cluster.{written[0]}", "{} goes with address; remove it"
    elif written and len(written) < len(tls):
        missing = ", ".join(name for name in tls if name not in written)
        yield f"cluster.{written[0]}", f"{{}} needs all of {', '.join(tls)}; add {missing}"
    if cluster.memory is not None and (cluster.local == 0 or {"address", "factory"} & {*ways}):
        yield (
            "cluster.memory",
            "{} goes with local workers, which this cluster has none of; remove it",
        )


def _places(job: Job, chosen: Collection[str]) -> Iterator[Found]:
    """Results must not lie among the data, or among each other."""
    places = {
        "output.model": job.output.model,
        "output.clusters": job.output.clusters,
        "output.sweep": job.output.sweep,
        "checkpoint": job.checkpoint,
        "model.window.coresets": _coresets_of(job),
        "registry": None if job.registry is None else job.registry.place,
    }
    seen: dict[str, str] = {}
    data_urls = () if job.data is None or not isinstance(job.data.url, tuple) else job.data.url
    for path, place in places.items():
        if place is None:
            continue
        place = place.rstrip("/")
        if any(_within(place, url.rstrip("/")) for url in data_urls if isinstance(url, str)):
            yield path, "{} lies among the rows of data.url; write another place"
        elif place in seen:
            yield path, f"{{}} is the place of {seen[place]}, too; write another"
        seen.setdefault(place, path)


def _coresets_of(job: Job) -> str | None:
    if not isinstance(job.model, Settings) or job.model.window is None:
        return None
    return job.model.window.coresets


def _within(place: str, folder: str) -> bool:
    return place == folder or place.startswith(f"{folder}/")


def _registry(job: Job, chosen: Collection[str]) -> Iterator[Found]:
    registry = job.registry
    if registry is None:
        return
    if "registry.alias" in chosen and registry.place != registry.url:
        yield "registry.alias", "{} is there beside an alias in the URL; remove one"
    if job.task == "predict" and registry.url is None:
        yield "registry", "names no url; write registry: {url: s3://models/customers}"
    if job.task in ("train", "retrain") and registry.name.isdigit():
        yield (
            "registry",
            f"{registry.name} is a version, which never changes; name an alias, as champion",
        )


def _others(job: Job, chosen: Collection[str]) -> Iterator[Found]:
    if "lock.wait" in chosen and job.lock.overlap == "leave":
        yield "lock.wait", "{} goes with overlap: wait; add that, or remove it"
    notify = job.notify
    if "notify.when" in chosen and notify.webhook is None and notify.command is None:
        yield "notify.when", "{} is there without webhook and command; add one of them"
    if notify.token is not None and notify.webhook is None:
        yield "notify.token", "{} goes with webhook; remove it"
    if "retention.keep" in chosen and job.retention.older_than is None:
        yield "retention.keep", "{} goes with older_than, without which nothing is removed; add it"


_RULES: tuple[Callable[[Job, Collection[str]], Iterator[Found]], ...] = (
    _task_s,
    kind_of_model,
    fitted,
    _data,
    _cluster,
    _places,
    _registry,
    _others,
)
