"""What keys of a job cannot be together, and what a task needs or does not take."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import fields

from dkmeans.algorithms.settings import OWN_SETTINGS
from dkmeans.jobs.context import Context
from dkmeans.jobs.definition import Drift, Job, Lock, Retention
from dkmeans.jobs.fitting import Data, Settings
from dkmeans.jobs.problems import Where

Found = tuple[str, str]
"""The key that is to blame, and what is wrong."""

_RETRAIN = "{} goes with task: retrain, which has a champion; remove it"
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
    "train": dict.fromkeys(_RETRAIN_S, _RETRAIN),
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

_FIT_EXAMPLE = "write model: {n_clusters: 8}"


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


def _model(job: Job, chosen: Collection[str]) -> Iterator[Found]:
    """What a model is depends on the task."""
    model = job.model
    if job.task == "predict":
        if isinstance(model, Settings):
            yield (
                "model",
                "settings go with task: train or retrain; write a reference, as URL@champion",
            )
        elif model is None and job.registry is None:
            yield "model", "is missing; write a reference, as URL@champion, or a registry"
        elif model is not None and "registry" in chosen:
            yield "registry", "{} is there beside model; a predict takes one of them: remove one"
    elif job.task in ("train", "retrain"):
        if isinstance(model, str):
            yield "model", f"a reference goes with task: predict; {_FIT_EXAMPLE}"
        elif model is None:
            yield "model", f"is missing; {_FIT_EXAMPLE}"


def _settings(job: Job, chosen: Collection[str]) -> Iterator[Found]:
    """What is fitted."""
    model = job.model
    if not isinstance(model, Settings) or job.task == "predict":
        return
    if model.n_clusters is not None and model.sweep is not None:
        yield "model.sweep", "{} is there beside n_clusters; a job has one of them: remove one"
    elif model.n_clusters is None and model.sweep is None:
        yield "model", f"names neither n_clusters nor sweep; {_FIT_EXAMPLE}"
    if model.sweep is None:
        for path in ("model.choose", "output.sweep"):
            if path in chosen:
                yield path, "{} goes with model.sweep; remove it"
    elif model.algorithm == "minibatch":
        yield "model.sweep", "{} goes with algorithm: lloyd; write n_clusters, or another algorithm"
    for other, names in OWN_SETTINGS.items():
        for name in names:
            if other != model.algorithm and f"model.{name}" in chosen:
                yield f"model.{name}", f"{{}} goes with algorithm: {other}; remove it"
    yield from _starts(job, model)
    yield from _forgetting(job, model)
    if job.task == "retrain":
        yield from _retrained(job, model)
        yield from _judged(job, model)
    elif model.window is not None:
        yield "model.window", _RETRAIN


def _starts(job: Job, model: Settings) -> Iterator[Found]:
    if model.init in ("champion", "scratch") and job.task == "train":
        yield "model.init", _RETRAIN
    if model.init == "coreset" and model.algorithm == "minibatch":
        yield "model.init", "{} goes with algorithm: lloyd; use k-means||"
    if model.coreset_size is None or model.algorithm == "minibatch":
        return
    if model.init not in (None, "coreset", "champion", "scratch"):
        yield (
            "model.coreset_size",
            f"{{}} goes with init: coreset, not with {model.init}; remove it",
        )
    most = max(model.sweep or (model.n_clusters or 1,))
    if model.coreset_size < 2 * most:
        yield (
            "model.coreset_size",
            f"{model.coreset_size} should be at least {2 * most}, two rows for each of {most} "
            "clusters",
        )


def _forgetting(job: Job, model: Settings) -> Iterator[Found]:
    half_life = model.half_life
    if half_life is None:
        return
    if job.task == "train":
        if model.algorithm != "minibatch":
            yield "model.half_life", "{} goes with algorithm: minibatch or task: retrain; remove it"
        elif half_life.unit == "seconds":
            yield "model.half_life", "{} goes with task: retrain; write 1000000 rows"
        elif model.learning_rate == "share":
            yield "model.half_life", "{} goes with learning_rate: count; share forgets by itself"
    elif half_life.unit == "batches" and model.algorithm != "minibatch":
        yield (
            "model.half_life",
            "{} goes with algorithm: minibatch; write rows, or a span as 30d",
        )


def _retrained(job: Job, model: Settings) -> Iterator[Found]:
    """What follows a champion."""
    follows = model.init != "scratch"
    if model.init not in (None, "champion", "coreset", "scratch"):
        yield "model.init", "{} is not for task: retrain; use champion, coreset or scratch"
    if follows and model.sweep is not None:
        yield "model.sweep", "{} goes with init: scratch; write n_clusters, or init: scratch"
    if follows and model.algorithm == "minibatch":
        yield "model.algorithm", "{} goes with init: scratch; add that, or write lloyd"
    if model.half_life is not None and model.init not in (None, "champion"):
        yield "model.half_life", f"{{}} goes with init: champion, not with {model.init}; remove it"
    if model.init == "coreset" and job.data is not None and job.data.sample is not None:
        yield "data.sample", "{} does not go with model.init: coreset, which samples; remove it"
    if model.window is None:
        return
    if model.init not in (None, "champion"):
        yield "model.window", f"goes with init: champion, not with {model.init}; remove it"
    if model.half_life is not None:
        yield (
            "model.half_life",
            "{} does not go with window, which forgets by itself; remove it",
        )
    if job.data is not None and job.data.sample is not None:
        yield "data.sample", "{} does not go with model.window; remove it"
    if job.data is not None and job.data.missing == "mean":
        yield "data.missing", "{} does not go with model.window, whose means nobody knows; use drop"


def _judged(job: Job, model: Settings) -> Iterator[Found]:
    """What no model can pass."""
    least = max((rule.min or 0 for rule in job.gates if rule.metric == "silhouette"), default=0)
    if model.n_clusters == 1 and least > 0:
        yield "gates.silhouette", "needs two clusters or more, of one it counts as 0; remove it"


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
    _model,
    _settings,
    _data,
    _cluster,
    _places,
    _registry,
    _others,
)
