"""Which algorithm fits, and the options that belong to it."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from dkmeans.algorithms.settings import OWN_SETTINGS
from dkmeans.cli.options import coreset_size_option
from dkmeans.estimators import chosen
from dkmeans.estimators.clusterer import Clusterer

F = TypeVar("F", bound=Callable[..., Any])


def algorithm_options(function: F) -> F:
    """Add the algorithm and its options; what is not given is as the estimators have it."""
    for option in reversed(
        (
            click.option(
                "--algorithm",
                type=click.Choice(sorted(OWN_SETTINGS)),
                default="lloyd",
                show_default=True,
                help="Exact iterations over all rows, or mini-batches.",
            ),
            click.option(
                "--n-init",
                type=int,
                help="Restarts; they share passes [default: 1; 8 of coreset; 3 seedings of "
                "minibatch].",
            ),
            click.option(
                "--tol",
                type=float,
                help="Stop when a pass can lower the inertia by at most this share [default: "
                "0.0001; of minibatch, see max-no-improvement, 0.001].",
            ),
            click.option("--max-iter", type=int, help="lloyd: most iterations [default: 300]."),
            coreset_size_option,
            click.option(
                "--batch-size", type=int, help="minibatch: rows of a step [default: 16384]."
            ),
            click.option("--max-epochs", type=int, help="minibatch: most epochs [default: 100]."),
            click.option(
                "--max-no-improvement",
                type=int,
                help="minibatch: stop after so many looks at held-out rows that have not lowered "
                "their inertia by tol [default: 10].",
            ),
            click.option(
                "--learning-rate",
                type=click.Choice(["count", "share"]),
                help="minibatch: how far a batch moves a center [default: count].",
            ),
        )
    ):
        function = option(function)
    return function


def estimator_of(asked: dict[str, Any]) -> Clusterer:
    """Return the estimator that the options describe."""
    algorithm = asked["algorithm"]
    for name in (
        one for other in OWN_SETTINGS if other != algorithm for one in OWN_SETTINGS[other]
    ):
        if asked[name] is not None:
            raise click.UsageError(
                f"--{name.replace('_', '-')} is not for --algorithm {algorithm}."
            )
    return chosen.estimator_of(
        algorithm,
        asked["n_clusters"],
        random_state=asked["seed"],
        scale=asked["scale"],
        checkpoint=asked["checkpoint"],
        **{name: asked[name] for name in ("init", "n_init", "tol", *OWN_SETTINGS[algorithm])},
    )
