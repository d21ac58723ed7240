"""A registry of models on any store: numbered versions, and aliases that move between them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dkmeans.errors import MissingInput
from dkmeans.models.model import Model
from dkmeans.registry import aliases, cleanup, moves, probe, publish, versions
from dkmeans.registry.aliases import Expected
from dkmeans.registry.moves import Move
from dkmeans.registry.names import (
    check_alias,
    check_name,
    check_run_id,
    check_text,
    now,
    whoami,
)
from dkmeans.registry.probe import Check
from dkmeans.registry.records import Place
from dkmeans.registry.versions import Version
from dkmeans.storage.filesystem import absolute, recall, remember

CHAMPION = "champion"


class Registry:
    """Versions of models at a URL, and aliases that say which of them counts for what.

    Versions never change and are numbered in the order of publishing. Every move of an alias is
    kept. Any number of processes may read, publish and move at the same time, on stores that keep
    writers apart; this is tried before the first write.

    Parameters
    ----------
    url
        Folder of the registry, on any fsspec URL; made by the first `publish`.
    storage_options
        For the store.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None) -> None:
        self._place = Place(absolute(str(url)), remember(storage_options))

    def __repr__(self) -> str:
        return f"Registry({str(self._place)!r})"

    def publish(
        self,
        model: Model,
        *,
        run_id: str,
        tags: Mapping[str, str] | Iterable[str] | None = None,
        attachments: Mapping[str, bytes] | None = None,
        parents: Sequence[int] = (),
        who: str | None = None,
    ) -> int:
        """Add a model and return its version.

        A run that has published returns its version again, whatever the model: after a crash, or
        where it is unknown whether the last attempt succeeded, publish again.

        Parameters
        ----------
        model
            What to publish.
        run_id
            The run that it comes from, a text of up to 256 characters.
        tags
            Names, or names with a text each; a version with tags is never cleaned up.
        attachments
            Files to keep with it, by name, as the job file and the reports.
        parents
            The versions that it was made from.
        who
            Who publishes [default: user and machine].

        Raises
        ------
        StoreUnfit
            If the store does not keep writers apart, and no single writer is declared.
        """
        check_run_id(run_id)
        pairs = tags.items() if isinstance(tags, Mapping) else ((name, "") for name in tags or ())
        named = {check_name(n, "tag"): check_text(text, f"tag {n!r}") for n, text in pairs}
        attached = {check_name(n, "attachment"): bytes(d) for n, d in (attachments or {}).items()}
        is_alone = probe.is_alone(self._place)
        for parent in parents:
            versions.known_version(self._place, parent)
        return publish.publish(
            self._place,
            model,
            run_id=run_id,
            parents=parents,
            tags=named,
            attachments=attached,
            who=_who(who),
            is_alone=is_alone,
        )

    def load(self, ref: int | str) -> Model:
        """Load a version, by number or alias, every byte checked against its hash.

        Raises
        ------
        MissingInput
            If there is no such version or alias, or its files were removed.
        ModelRefused
            If it is damaged, or of another format.
        """
        return Model.load(self.model_url(ref), storage_options=recall(self._place.options))

    def model_url(self, ref: int | str) -> str:
        """Return where the model of a version lies, checked; errors as `load`."""
        return publish.checked_url(self._place, self._known(ref))

    def resolve(self, ref: int | str) -> int:
        """Return the version that an alias points to now; a number is itself.

        Raises
        ------
        MissingInput
            If there is no such alias.
        """
        return aliases.resolve(self._place, ref)

    def versions(self) -> list[Version]:
        """Return all versions, in order; damaged records are left out with a warning."""
        return versions.list_versions(self._place)

    def version(self, ref: int | str) -> Version:
        """Return what is known of a version, by number or alias; errors as `resolve`."""
        return versions.whole_version(self._place, self._known(ref))

    def aliases(self) -> dict[str, int]:
        """Return the version that each alias points to."""
        return {name: move.version for name, move in moves.heads(self._place).items()}

    def moves(self, alias: str) -> list[Move]:
        """Return all moves of an alias, the first one first; none if there is no such alias."""
        return moves.log(self._place, check_alias(alias))

    def last_move(self, alias: str, after: Move | None = None) -> Move | None:
        """Return the last move of an alias; None if there is none.

        Parameters
        ----------
        alias
            Its name.
        after
            A move that is known: only later ones count. If there is none, that takes one small
            request, where all moves are listed otherwise.
        """
        check_alias(alias)
        if after is None:
            return moves.head(self._place, alias)
        return moves.after(self._place, alias, after.number)

    def move(
        self,
        alias: str,
        version: int | str,
        *,
        reason: str,
        who: str | None = None,
        expected: Expected = "any",
    ) -> Move:
        """Have an alias point to a version whose model is there and whole.

        Parameters
        ----------
        alias
            Its name; a new one begins to exist.
        version
            Where it is to point: a version, or the alias that points there now.
        reason
            Why; kept.
        who
            Who moves it [default: user and machine].
        expected
            The version that it must point to before, None if it must not exist; by default any.

        Raises
        ------
        AliasMoved
            If it points elsewhere than expected.
        MissingInput
            If there is no such version, or its files were removed.
        ModelRefused
            If a file of it is damaged.
        """
        return aliases.move(
            self._place,
            alias,
            version,
            reason=reason,
            who=_who(who),
            expected=expected,
            is_alone=probe.is_alone(self._place),
        )

    def promote(
        self,
        version: int | str,
        *,
        alias: str = CHAMPION,
        reason: str,
        who: str | None = None,
        expected: Expected = "any",
    ) -> Move:
        """Have the champion, or another alias, point to a version; see `move`."""
        return self.move(alias, version, reason=reason, who=who, expected=expected)

    def rollback(self, *, alias: str = CHAMPION, reason: str, who: str | None = None) -> Move:
        """Have an alias point to what it pointed to before it was moved to where it is.

        Another rollback goes further back. What was left by a rollback is not gone to again:
        after moves to 1, 2 and 3, rollbacks lead to 2, then to 1; after moves to 1 and 2, a
        rollback to 1 and a move to 3, a rollback leads to 1.

        Raises
        ------
        MissingInput
            If there is no such alias, or nothing is left of where it leads.
        ArgumentError
            If nothing lies behind it.
        AliasMoved
            If somebody else moves it at the same time: look before going further back.
        """
        alone = probe.is_alone(self._place)
        return aliases.rollback(self._place, alias, reason=reason, who=_who(who), is_alone=alone)

    def tag(self, ref: int | str, name: str, value: str = "", *, who: str | None = None) -> None:
        """Give a version a tag, with a text that may be empty; the same name is replaced."""
        self._write_tag(ref, name, check_text(value, f"tag {name!r}"), who)

    def untag(self, ref: int | str, name: str, *, who: str | None = None) -> None:
        """Take a tag from a version; it may have none of that name."""
        self._write_tag(ref, name, None, who)

    def attachments(self, ref: int | str) -> list[str]:
        """Return the names of the files that were kept with a version; errors as `load`."""
        files = publish.read_manifest(self._place, self._known(ref))
        prefix = f"{publish.ATTACHMENTS}/"
        return sorted(name.removeprefix(prefix) for name in files if name.startswith(prefix))

    def attachment(self, ref: int | str, name: str) -> bytes:
        """Read a file that was kept with a version, checked against its hash; errors as `load`."""
        check_name(name, "attachment")
        version = self._known(ref)
        files = publish.read_manifest(self._place, version)
        path = f"{publish.ATTACHMENTS}/{name}"
        if path not in files:
            raise MissingInput(
                f"version {version.number} of {self._place} has no attachment {name!r}; see "
                "dkmeans models show."
            )
        return publish.read_part(self._place, version, path, files)

    def check(self, *, single_writer: bool | None = None) -> Check:
        """Try whether the store keeps writers apart, and keep the result; see `Check`.

        Parameters
        ----------
        single_writer
            Declare that one process at a time writes to this registry, so that any store will do;
            False takes that back, None leaves it as it is.
        """
        return probe.probe(self._place, is_single_writer=single_writer)

    def gc(
        self,
        *,
        older_than_days: float = cleanup.OLDER_THAN_DAYS,
        keep: int = cleanup.KEEP,
        dry_run: bool = False,
    ) -> cleanup.Removed:
        """Remove the files of versions that nothing needs, and what unfinished publishings left.

        A version is needed if an alias points to it, if one of the next `keep` rollbacks of an
        alias leads to it, or if it has a tag. Records of versions and moves are kept for ever.

        Parameters
        ----------
        older_than_days
            Only what was written so long ago, by the store's clock: longer than any publishing
            takes.
        keep
            How many rollbacks of each alias must stay possible.
        dry_run
            Only tell what would go. To read the store's clock, one small file is written and
            removed again.

        Raises
        ------
        ModelRefused
            If a version's record is damaged: then it is unknown which files it needs.
        """
        return cleanup.collect(
            self._place, older_than_days=older_than_days, keep=keep, is_dry_run=dry_run
        )

    def _known(self, ref: int | str) -> Version:
        return versions.known_version(self._place, self.resolve(ref))

    def _write_tag(self, ref: int | str, name: str, value: str | None, who: str | None) -> None:
        check_name(name, "tag")
        at = self._known(ref).number
        versions.write_tag(self._place, at, name, value, who=_who(who), written=now())


def _who(who: str | None) -> str:
    return whoami() if who is None else check_text(who, "who")
