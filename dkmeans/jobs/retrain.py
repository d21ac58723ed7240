"""The task retrain: a challenger, judged on the new rows beside the champion, takes its place.

What a run has done is told by the registry alone, so that one which was killed at any moment is
made again, and ends as if it had not been: the version that it publishes is known again by its
rows, parameters and champion, and whether it was promoted by the moves of the alias.
"""

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import Any

from dkmeans.algorithms.checkpoint import remove_checkpoint
from dkmeans.errors import AliasMoved, DkmeansError, StaleCheckpoint
from dkmeans.jobs.challenge import Champion, challenger_of, job_rows
from dkmeans.jobs.judged import Challenge, attachments_of, brief_of, judged
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.lock import JobLock
from dkmeans.jobs.opening import job_cluster, settings_of, storage_options_of
from dkmeans.jobs.outcome import Outcome
from dkmeans.jobs.retrain_outcome import finished_outcome, judged_outcome
from dkmeans.jobs.retrain_output import refuse_foreign, write_outputs
from dkmeans.jobs.snapshot import Earlier, earlier_of, run_id_of, snapshot_of
from dkmeans.jobs.train import checkpoint_of
from dkmeans.jobs.windows import (
    accepted,
    checkpoint_of_window,
    new_partitions,
    partitions_of,
    rows_to_judge,
    window_challenger,
)
from dkmeans.models.model import Model
from dkmeans.registry.names import now, whoami
from dkmeans.registry.probe import is_alone
from dkmeans.registry.records import Place
from dkmeans.registry.registry import Registry
from dkmeans.rows.allowance import Allowance
from dkmeans.rows.progress import reporter
from dkmeans.rows.rows import Rows
from dkmeans.storage.filesystem import absolute, remember

CHALLENGER = "challenger"
"""The alias of the version that a retrain has published last, whatever the gate said."""

_DAY = 86_400.0


def retrain(run: Resolved, *, shadow: bool = False) -> Outcome:
    """Challenge the champion of a registry with a model of the rows of a job.

    The first model of a registry is fitted as by the task train, and judged by the rules that need
    no champion. Where the newest version of the job came of the same rows and parameters, nothing
    is done, after footers are read. Else the passes are those of the fit and one more over the rows
    that it was fitted to, which its blocks are kept for; two if the challenger has a scale of its
    own, or missing values are filled in; and one if clusters are written.

    Parameters
    ----------
    run
        The job.
    shadow
        Publish and judge, and promote nothing. The same run without it promotes what has passed.

    Returns
    -------
    Outcome
        With exit code 5 if the gate has refused: the champion stays, and the challenger is kept
        with the reasons. Drift is told in it, and is no exit code of its own: gates decide.

    Raises
    ------
    JobRunning
        If another run of the job is at it.
    LockLost
        If this one was taken for dead, before it has published or promoted.
    AliasMoved
        If somebody else has moved the champion meanwhile: the challenger is published, and was
        judged against another one. The next run challenges the new one.
    InputRefused
        If the data cannot be clustered as they are.
    BudgetSpent
        If a limit ends it.
    """
    job = run.job
    assert job.registry is not None
    options = storage_options_of(job.data)
    place = Place(absolute(job.registry.place), remember(options))
    with ExitStack() as stack:
        # where a single writer is declared, nobody else is there to be kept apart from
        lock = None if is_alone(place) else stack.enter_context(_lock(run, place))
        refuse_foreign(run, options)
        stack.enter_context(job_cluster(job.cluster))
        return _Retrain(run, options, lock, shadow).run()


def _lock(run: Resolved, place: Place) -> JobLock:
    asked = run.job.lock
    return JobLock(
        place,
        run.job.name,
        f"{run.job.name}-{run.as_of}",
        who=whoami(),
        written=now(),
        wait_seconds=asked.wait if asked.overlap == "wait" else 0.0,
        lease_seconds=asked.stale,
    )


class _Retrain:
    """One retraining, within its lock."""

    def __init__(
        self, run: Resolved, options: Mapping[str, Any], lock: JobLock | None, shadow: bool
    ) -> None:
        assert run.job.registry is not None
        self._run, self._job, self._options, self._lock = run, run.job, options, lock
        self._shadow, self._alias = shadow, run.job.registry.name
        self._registry = Registry(run.job.registry.place, options)
        self._start = time.perf_counter()

    def run(self) -> Outcome:
        champion = self._champion()
        version = None if champion is None else champion.version
        versions = self._registry.versions()
        earlier = earlier_of(versions, self._job.name)
        # a fit to a window and the judging after it share what the run may cost
        allowance = Allowance(**vars(self._job.limits))
        with ExitStack() as stack:
            window = settings_of(self._job).window
            if window is None:
                rows = stack.enter_context(job_rows(self._run, champion, self._options))
                snapshot = snapshot_of(self._run, rows.identity())
            else:
                parts = partitions_of(self._run, window, self._options)
                named = [(one.name, one.fingerprint) for one in parts]
                snapshot = snapshot_of(self._run, named)
            if earlier is not None and self._is_done(earlier, snapshot, version):
                return self._finished(earlier, snapshot, champion)
            run_id = run_id_of(self._job.name, snapshot, earlier, version)
            if window is None:
                model, new = self._fitted(rows, champion, allowance), []
            else:
                old = None if champion is None else champion.model
                served = {move.version for move in self._registry.moves(self._alias)}
                parts = accepted(self._run, parts, versions, served)
                new = new_partitions(self._run, parts, old, versions, served)
                model = window_challenger(self._run, parts, old, self._options, allowance)
                rows = rows_to_judge(self._run, parts, new, model, self._options, self._job.stage)
                allowance.limit(stack.enter_context(rows), goes_on=True)
            named_new = [one.fingerprint for one in new]
            told = {"snapshot": snapshot, "shadow": self._shadow, "new_partitions": named_new}
            challenge = judged(self._run, rows, champion, model, versions, told, run_id)
        return self._published(challenge, champion)

    def _check(self) -> None:
        """Raise `LockLost` before what cannot be undone."""
        if self._lock is not None:
            self._lock.check()

    def _champion(self) -> Champion | None:
        number = self._registry.aliases().get(self._alias)
        return None if number is None else Champion(self._registry.load(number), number)

    def _fitted(self, rows: Rows, champion: Champion | None, allowance: Allowance) -> Model:
        """Fit the challenger; afresh, if a checkpoint of other rows or another champion is left."""
        place = checkpoint_of(self._run)
        try:
            return challenger_of(self._run, rows, champion, self._options, allowance)
        except StaleCheckpoint as error:
            # found before the first pass
            assert place is not None
            reporter().note(f"beginning afresh: {error}")
            remove_checkpoint(place, remember(self._options))
            return challenger_of(self._run, rows, champion, self._options, allowance)

    def _is_done(self, earlier: Earlier, snapshot: str, champion: int | None) -> bool:
        """Whether the newest version came of the same, and can still be what it was meant to be."""
        if earlier.snapshot != snapshot:
            return False
        waits = earlier.passed and not self._shadow and not self._was_promoted(earlier.number)
        # against another champion it has not been judged
        return not waits or champion == earlier.challenged

    def _was_promoted(self, number: int) -> bool:
        return any(move.version == number for move in self._registry.moves(self._alias))

    def _published(self, challenge: Challenge, champion: Champion | None) -> Outcome:
        self._check()
        number = self._registry.publish(
            challenge.model,
            run_id=challenge.run_id,
            parents=() if champion is None else (champion.version,),
            attachments=attachments_of(self._run, challenge),
        )
        passed = challenge.verdict.passed
        self._point(number, passed, None if champion is None else champion.version)
        self._remove_checkpoint()
        stored = self._outputs(challenge.model.provenance["retrain"]["snapshot"])
        drift = challenge.measured.drift
        return judged_outcome(
            self._run,
            challenge.model,
            version=number,
            champion_version=None if champion is None else champion.version,
            shadow=self._shadow,
            figures=challenge.figures,
            verdict=challenge.verdict,
            drift=None if drift is None else brief_of(drift),
            lineage=challenge.lineage,
            stored=stored,
            seconds=time.perf_counter() - self._start,
        )

    def _point(self, number: int, passed: bool, challenged: int | None) -> None:
        """Move the aliases: the champion's first, so that the other one tells that all is done."""
        why = f"job {self._job.name} as of {self._run.as_of}"
        if passed and not self._shadow and not self._was_promoted(number):
            self._check()
            try:
                self._registry.move(
                    self._alias, number, reason=f"{why}: passed the gate", expected=challenged
                )
            except AliasMoved:
                reason = f"{why}: passed the gate, but {self._alias} had moved meanwhile"
                self._registry.move(CHALLENGER, number, reason=reason)
                raise
        said = "passed the gate" if passed else "refused by the gate"
        self._registry.move(CHALLENGER, number, reason=f"{why}: {said}")

    def _finished(self, earlier: Earlier, snapshot: str, champion: Champion | None) -> Outcome:
        """Do what a run that was killed has left to do: mostly nothing."""
        number = earlier.number
        is_told = any(move.version == number for move in self._registry.moves(CHALLENGER))
        promotes = earlier.passed and not self._shadow and not self._was_promoted(number)
        if promotes or not is_told:
            self._point(number, earlier.passed, earlier.challenged)
        self._remove_checkpoint()
        stored = self._outputs(snapshot)
        verdict = None
        with suppress(DkmeansError, ValueError):
            verdict = json.loads(self._registry.attachment(number, "verdict.json"))
        return finished_outcome(
            self._run,
            version=number,
            champion_version=self._registry.aliases().get(self._alias),
            challenged=earlier.challenged,
            passed=earlier.passed,
            promoted=promotes,
            is_new=not is_told,
            verdict=verdict,
            stored=stored,
            seconds=time.perf_counter() - self._start,
        )

    def _remove_checkpoint(self) -> None:
        """Remove what going on would have needed; rows that are kept for it above all."""
        place = checkpoint_of(self._run)
        if place is not None:
            remove_checkpoint(place, remember(self._options))
        kept = checkpoint_of_window(self._run, self._options)
        if kept is not None:
            kept.forget()

    def _outputs(self, snapshot: str) -> dict[str, Any]:
        """Write what the champion says of the rows, and clean up."""
        champion = self._champion()
        stored: dict[str, Any] = {}
        if champion is not None:
            stored = write_outputs(self._run, champion, snapshot, self._options)
        retention = self._job.retention
        if retention.older_than is not None:
            try:
                removed = self._registry.gc(
                    older_than_days=retention.older_than / _DAY, keep=retention.keep
                )
                stored["removed_versions"] = list(removed.versions)
            except DkmeansError as error:
                # the next run tries again
                reporter().note(f"retention: nothing was removed ({error})")
        return stored
