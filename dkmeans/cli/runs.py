"""`dkmeans runs`: what became of every attempt of every run."""

import json
from datetime import datetime

import click

from dkmeans.cli.options import json_option, parse_storage_options, say, storage_option
from dkmeans.evaluation.shown import Section, as_text, brief, name, number
from dkmeans.jobs import records
from dkmeans.jobs.run_record import RunRecord
from dkmeans.storage.filesystem import redact, remember

_LONGEST_ERROR = 60


@click.group()
def runs() -> None:
    """Show the records of runs: how each attempt ended, what it cost, and why it failed."""


@runs.command("list")
@click.argument("url", metavar="URL")
@click.option("--job", metavar="NAME", help="Only runs of this job.")
@click.option(
    "--last", type=click.IntRange(1), default=50, show_default=True, help="Most attempts to list."
)
@storage_option
@json_option
def list_runs(
    url: str, job: str | None, last: int, storage_options: tuple[str, ...], as_json: bool
) -> None:
    """List attempts that have a record at URL (a registry, or another place), the latest last."""
    options = remember(parse_storage_options(storage_options))
    found, damaged = records.latest(url, last, options, job=job)
    for sentence in damaged:
        # one damaged record must not hide all others
        say(f"dkmeans: warning: {sentence}")
    if as_json:
        click.echo(json.dumps({"runs": [one.to_dict() for one in found]}))
        return
    if not found:
        click.echo(f"no runs at {redact(url)}")
        return
    columns = ("Run", "Job", "Task", "Started (UTC)", "Seconds", "Outcome", "Version", "Error")
    more = (f"These are the latest {last}: --last shows more.",) if len(found) == last else ()
    click.echo(as_text([Section("Runs", more, columns, tuple(map(_row, found)))]))


@runs.command("show")
@click.argument("url", metavar="URL")
@click.argument("run_id", metavar="RUN")
@storage_option
@json_option
def show_run(url: str, run_id: str, storage_options: tuple[str, ...], as_json: bool) -> None:
    """Show all attempts of RUN, with what was measured and what the gate said."""
    found = records.attempts(url, run_id, remember(parse_storage_options(storage_options)))
    if as_json:
        click.echo(json.dumps({"run_id": run_id, "attempts": [one.to_dict() for one in found]}))
        return
    click.echo(as_text([part for one in found for part in _sections(one)]))


def _row(record: RunRecord) -> tuple[str, ...]:
    error = record.error or ""
    if len(error) > _LONGEST_ERROR:
        error = f"{error[: _LONGEST_ERROR - 3]}..."
    return (
        record.run_id,
        name(record.job),
        name(record.task),
        _when(record.started),
        brief(record.seconds),
        _outcome(record),
        "" if record.model_version is None else str(record.model_version),
        _line(error),
    )


def _sections(record: RunRecord) -> list[Section]:
    rows = [
        ("outcome", _outcome(record)),
        ("started", _when(record.started)),
        ("ended" if record.ended else "last seen", _when(record.ended or record.seen)),
        ("passes", number(record.passes)),
        ("rows visited", number(record.rows)),
        ("bytes read", number(record.bytes)),
        ("seconds", brief(record.seconds)),
        ("retries", number(record.retries)),
        ("version published", number(record.model_version)),
        ("champion", number(record.champion_version)),
        ("host", _line(str(record.process.get("host", "-")))),
        ("versions", _line(", ".join(f"{one} {of}" for one, of in record.versions.items()))),
    ]
    rows += [(_line(str(one)), _line(str(value))) for one, value in record.figures.items()]
    said = [] if record.error is None else [f"Error: {_line(record.error)}"]
    title = f"Run {record.run_id}, attempt {record.attempt}: {name(record.task)} {name(record.job)}"
    sections = [Section(title, tuple(said), ("Entry", "Value"), tuple(rows))]
    verdict = record.verdict
    if verdict is not None:
        listed = verdict.get("judgments")
        judgments = listed if isinstance(listed, list) else []
        sections.append(
            Section(
                "Gate: passed" if verdict.get("passed") else "Gate: refused",
                tuple(_line(str(one.get("reason"))) for one in judgments if isinstance(one, dict)),
            )
        )
    if record.notifications:
        sections.append(Section("Notifications", tuple(map(_notified, record.notifications))))
    return sections


def _notified(found: object) -> str:
    one = found if isinstance(found, dict) else {}
    end = "taken" if one.get("ok") else f"failed: {one.get('reason')}"
    return _line(f"{one.get('target')}: {end} ({one.get('attempts')} attempts)")


def _outcome(record: RunRecord) -> str:
    code = "" if record.exit_code is None else f" ({record.exit_code})"
    return _line(f"{record.outcome}{code}")


def _when(text: str) -> str:
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return _line(text)


def _line(text: str) -> str:
    """What a record holds, on one line and without control characters."""
    return "".join(c if c.isprintable() else " " for c in text)
