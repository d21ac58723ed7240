"""`dkmeans serve`: a model behind HTTP."""

from dataclasses import fields
from importlib import import_module
from typing import Any

import click

from dkmeans.cli.store_options import parse_storage_options, storage_option
from dkmeans.errors import ArgumentError

_MOST_HEADER_SECONDS = 10.0
_COUNT = click.IntRange(min=1)
_SECONDS = click.FloatRange(min=0.01, max=3600)


@click.command()
@click.argument("model_url", metavar="MODEL")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port; 0 for a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(),
    help="A file of bearer tokens, one a line, read again when it changes [default: the token in "
    "DKMEANS_TOKEN, if it is set].",
)
@click.option(
    "--no-token", is_flag=True, help="Let everybody ask who reaches the address, whatever it is."
)
@click.option("--tls-cert", type=click.Path(), help="Certificate, for HTTPS.")
@click.option("--tls-key", type=click.Path(), help="Key of the certificate.")
@click.option(
    "--follow-seconds",
    type=_SECONDS,
    default=5.0,
    show_default=True,
    help="Seconds between two looks whether the alias has moved.",
)
@click.option(
    "--max-body-mb", type=_COUNT, default=64, show_default=True, help="Most MiB of a body."
)
@click.option(
    "--max-json-mb", type=_COUNT, default=8, show_default=True, help="Most MiB of a body of JSON."
)
@click.option(
    "--max-rows", type=_COUNT, default=1_000_000, show_default=True, help="Most rows of a request."
)
@click.option(
    "--max-columns", type=_COUNT, default=10_000, show_default=True, help="Most columns of a table."
)
@click.option(
    "--max-distances",
    type=_COUNT,
    default=2_000_000,
    show_default=True,
    help="Most distances of an answer: rows times clusters.",
)
@click.option(
    "--timeout",
    type=_SECONDS,
    default=30.0,
    show_default=True,
    help="Seconds until a body has arrived, headers too, and until an answer is taken.",
)
@click.option(
    "--max-concurrent",
    type=_COUNT,
    default=64,
    show_default=True,
    help="Requests in work at a time; others get 429.",
)
@click.option(
    "--max-connections",
    type=_COUNT,
    default=1000,
    show_default=True,
    help="Open connections at a time.",
)
@click.option(
    "--grace",
    type=click.FloatRange(min=0, max=3600),
    default=20.0,
    show_default=True,
    help="Seconds that requests in work have to end, after SIGTERM or Ctrl-C.",
)
@click.option(
    "--drain",
    type=click.FloatRange(min=0, max=3600),
    default=1.0,
    show_default=True,
    help="Seconds that requests are still taken after SIGTERM, while /readyz answers 503.",
)
@click.option(
    "--log",
    type=click.Choice(["requests", "errors", "off"]),
    default="requests",
    show_default=True,
    help="Which requests are logged, as lines of JSON on standard error.",
)
@storage_option
def serve(model_url: str, storage_options: tuple[str, ...], **asked: Any) -> None:
    """Serve MODEL over HTTP: POST /predict and /distances, JSON or Arrow; see /openapi.json.

    MODEL is a path, URL@17, or URL@champion, which is followed wherever it moves. Whoever reaches
    another address than 127.0.0.1 needs a token, but for /healthz and /readyz.
    """
    _check_installed()
    from dkmeans.service.following import FollowedModel
    from dkmeans.service.limits import Limits
    from dkmeans.service.live import LiveFigures
    from dkmeans.service.serving import serve
    from dkmeans.service.settings import Settings

    mib = 2**20
    given = {
        "body_bytes": asked["max_body_mb"] * mib,
        "json_bytes": asked["max_json_mb"] * mib,
        "rows": asked["max_rows"],
        "columns": asked["max_columns"],
        "values": asked["max_distances"],
        "seconds": asked["timeout"],
        "header_seconds": min(_MOST_HEADER_SECONDS, asked["timeout"]),
        "concurrent": asked["max_concurrent"],
        "connections": asked["max_connections"],
    }
    same = {field.name for field in fields(Settings)} & asked.keys()
    settings = Settings(
        **{name: asked[name] for name in same},
        limits=Limits(**given),
        grace_seconds=asked["grace"],
        drain_seconds=asked["drain"],
    )
    options = parse_storage_options(storage_options)
    models = FollowedModel(model_url, options, asked["follow_seconds"])
    serve(
        models,
        LiveFigures(models),
        settings,
        ready=_ready,
    )


def _ready(url: str) -> None:
    # standard error is the log's
    click.echo(f"serving at {url}")


def _check_installed() -> None:
    for name in ("fastapi", "httptools", "msgspec", "prometheus_client", "uvicorn"):
        try:
            import_module(name)
        except ImportError:
            raise ArgumentError(
                f"dkmeans serve needs {name}, which is not installed: pip install 'dkmeans[serve]'."
            ) from None
