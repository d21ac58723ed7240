"""`dkmeans models forget-rows`: remove rows of the data that are kept beside models."""

import json
from collections.abc import Mapping
from typing import IO, Any

import click

from dkmeans.cli.options import json_option, parse_storage_options, storage_option
from dkmeans.errors import ArgumentError, MissingInput
from dkmeans.storage.filesystem import join, redact, remember
from dkmeans.storage.objects import exists


@click.command("forget-rows")
@click.argument("url", metavar="CORESETS|MODEL")
@click.option(
    "--partition",
    "partitions",
    multiple=True,
    metavar="NAME",
    help="Only the rows of this partition, as dt=2026-11-20; repeat for more.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Only partitions that may hold a row with this value, as customer_id=4711; repeat for "
    "more, any of which is enough.",
)
@click.option(
    "--key-file",
    type=click.File("r", encoding="utf-8"),
    metavar="FILE",
    help="A file with more of them, one a line; - for standard input.",
)
@click.option(
    "--run",
    "run_id",
    metavar="RUN",
    help="The rows of the model that this run has published in the registry that is named.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would go.")
@storage_option
@json_option
def forget_rows_command(
    url: str,
    partitions: tuple[str, ...],
    keys: tuple[str, ...],
    key_file: IO[str] | None,
    run_id: str | None,
    dry_run: bool,
    storage_options: tuple[str, ...],
    as_json: bool,
) -> None:
    """Remove the rows of the data that are kept at CORESETS, or for a MODEL.

    CORESETS is the place of model.window.coresets of a job: all its rows go, those of some
    partitions, or those of partitions that may hold a key. Coresets hold no keys, so that the
    files that they were drawn from are looked at: only the columns of the keys are read. Where a
    file is gone or was written anew, nobody can show that the coreset is free of the key, and it
    goes, too.

    A value is what the column has: whole numbers, texts letter by letter, or dates as 2026-11-20.
    Nulls are no value. Rows with any of the keys are meant.

    MODEL is a saved model, URL@17 or URL@champion; or a registry, with --run. The job that is
    stored with it tells where rows are kept: the coresets of the partitions that it was made of,
    and checkpoints that runs of the job have left, are removed. With them go blocks that killed
    processes have left on this machine. With --key all partitions of these
    coresets are searched.

    What holds no rows stays: models, sweeps, exports, reports and records of runs have centers,
    weights, moments and histograms. A center is the row itself where a cluster has one row; and a
    baseline has the least and the greatest value of each feature. What may hold rows and cannot be
    found from a model is named in the end: results that are written row by row, checkpoints of
    other fits, blocks on disks of other machines, and examples in printed profiles.

    The source is not touched: a partition that is read again is kept again. Let no run of the job
    be at it meanwhile.
    """
    from dkmeans.rows.key_search import parse_keys

    options = parse_storage_options(storage_options)
    texts = [*keys, *_lines(key_file)]
    wanted = parse_keys(texts) if texts else None
    if key_file is not None and wanted is None:
        raise click.UsageError("--key-file names no key.")
    if partitions and (wanted is not None or run_id is not None):
        raise click.UsageError("--partition goes without --key, --key-file and --run.")
    model = _model(url, run_id, options)
    if model is not None and partitions:
        raise click.UsageError("--partition goes with CORESETS; leave it out, or name these.")
    if model is not None:
        _forget_model(model, wanted, dry_run, options, as_json)
    elif wanted is not None:
        from dkmeans.algorithms.windows.forgetting import forget_keys
        from dkmeans.algorithms.windows.store import CoresetStore

        store = CoresetStore(url, options)
        found = forget_keys(store, wanted, dry_run=dry_run, storage_options=options)
        _say(found.to_dict(), as_json, _found_lines(found))
    else:
        _forget_partitions(url, partitions, dry_run, options, as_json)
    _remove_blocks(dry_run)


def _lines(file: IO[str] | None) -> list[str]:
    if file is None:
        return []
    try:
        return [line for line in file.read().split("\n") if line]
    except UnicodeDecodeError:
        raise ArgumentError("--key-file is not UTF-8; write it as that.") from None


def _model(url: str, run_id: str | None, options: Mapping[str, Any]) -> Any:
    """The model that is named; None if coresets are."""
    from dkmeans.models.model import Model
    from dkmeans.registry.publish import INDEX
    from dkmeans.registry.reference import load, parse
    from dkmeans.registry.registry import Registry

    if run_id is not None:
        from dkmeans.jobs.kept_rows import model_of_run

        return model_of_run(Registry(url, options), url, run_id, options)
    if parse(url).name is not None:
        return load(url, options)
    if exists(join(url, INDEX), remember(options)):
        return Model.load(url, storage_options=options)
    if exists(join(url, "registry.json"), remember(options)):
        raise click.UsageError(
            f"{redact(url)} is a registry; name one of its models, as {redact(url)}@17, or pass "
            "--run."
        )
    return None


def _forget_model(
    model: Any, wanted: Any, dry_run: bool, options: Mapping[str, Any], as_json: bool
) -> None:
    from dkmeans.jobs.kept_rows import ELSEWHERE, forget_model

    done = forget_model(model, wanted, dry_run=dry_run, storage_options=options)
    verb = "would remove" if dry_run else "removed"
    lines = []
    if done.coresets is None:
        lines.append("the model names no coresets: no rows of partitions are kept for it")
    elif done.found is not None:
        lines += _found_lines(done.found)
    else:
        names = f": {', '.join(done.partitions)}" if done.partitions else ""
        lines.append(
            f"{verb} {done.n_rows:,} rows of {len(done.partitions)} partitions at "
            f"{redact(done.coresets)}{names}"
        )
    lines += [f"{verb} the checkpoint {redact(one)}" for one in done.checkpoints]
    lines += [f"left, as it is a result: {one}" for one in done.outputs]
    lines += [f"not looked for: {one}" for one in ELSEWHERE]
    _say(done.to_dict(), as_json, lines)


def _forget_partitions(
    url: str,
    partitions: tuple[str, ...],
    dry_run: bool,
    options: Mapping[str, Any],
    as_json: bool,
) -> None:
    from dkmeans.algorithms.windows.store import CoresetStore

    store = CoresetStore(url, options)
    known = {one.name for one in store.entries}
    unknown = [name for name in partitions if name not in known]
    if unknown:
        raise MissingInput(
            f"{redact(url)} keeps no rows of partition {unknown[0]!r}; it keeps those of "
            f"{', '.join(sorted(known)) or 'none'}."
        )
    gone = sorted(partitions or known)
    n_rows = sum(one.coreset_rows for one in store.entries if one.name in gone)
    if not dry_run:
        store.forget(partitions or None)
        store.tidy()
    verb = "would remove" if dry_run else "removed"
    _say(
        {"rows": n_rows, "partitions": gone, "dry_run": dry_run},
        as_json,
        [f"{verb} {n_rows:,} rows of {len(gone)} partitions"],
    )


def _found_lines(found: Any) -> list[str]:
    verb = "would remove" if found.is_dry_run else "removed"
    lines = [f"has the key: {name}" for name in found.held]
    lines += [f"may have it: {name}: {why.rstrip('.')}" for name, why in found.unsure]
    if found.partitions:
        lines.append(f"{verb} {found.n_rows:,} rows of {len(found.partitions)} partitions")
    elif found.n_partitions:
        lines.append("nothing to remove: no partition has the key")
    else:
        return ["nothing to remove: no rows are kept there"]
    return [
        *lines,
        f"looked at {found.n_partitions} partitions: read {found.bytes_read:,} bytes of the "
        f"{found.source_bytes:,} that they have",
    ]


def _remove_blocks(dry_run: bool) -> None:
    """Remove the blocks that killed processes have left on this machine."""
    from dkmeans.rows.disk import remove_leftovers, temporary_root

    if not dry_run:
        remove_leftovers(temporary_root())


def _say(found: Mapping[str, Any], as_json: bool, lines: list[str]) -> None:
    click.echo(json.dumps(found) if as_json else "\n".join(lines))
