"""What a model can be in a task, and which of its settings cannot be together."""

from collections.abc import Collection, Iterator

from dkmeans.algorithms.settings import OWN_SETTINGS
from dkmeans.jobs.definition import Job
from dkmeans.jobs.fitting import Settings

Found = tuple[str, str]
"""The key that is to blame, and what is wrong."""

RETRAIN_ONLY = "{} goes with task: retrain, which has a champion; remove it"
_FIT_EXAMPLE = "write model: {n_clusters: 8}"


def kind_of_model(job: Job, chosen: Collection[str]) -> Iterator[Found]:
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


def fitted(job: Job, chosen: Collection[str]) -> Iterator[Found]:
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
        yield "model.window", RETRAIN_ONLY


def _starts(job: Job, model: Settings) -> Iterator[Found]:
    if model.init in ("champion", "scratch") and job.task == "train":
        yield "model.init", RETRAIN_ONLY
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
