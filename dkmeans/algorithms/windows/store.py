"""Where the coresets of partitions are kept: a folder on any store. They hold rows of the data.

A manifest says what is there and is written last, so that it is the store: files that it does not
list are leftovers. Each file is named by what it was drawn from and by its hash, which is checked
before anything in it is looked at.
"""

import datetime
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dkmeans.algorithms.coreset.survey import Coreset
from dkmeans.algorithms.windows.partition import PartitionCoreset
from dkmeans.errors import InputRefused, MissingInput, OutputExists
from dkmeans.models.columns import FeatureColumn
from dkmeans.partials.moments import Moments
from dkmeans.rows.partitions import Partition
from dkmeans.rows.progress import reporter
from dkmeans.storage.atomic import is_unfinished, remove_unfinished, write_bytes
from dkmeans.storage.filesystem import absolute, join, redact, remember
from dkmeans.storage.objects import names_at, read_bytes, remove
from dkmeans.storage.snapshot import snapshot_of, value_of

_MANIFEST = "coresets.json"
_KIND, _FORMAT = "dkmeans coresets", 1
_FILE = re.compile(r"coreset-[0-9a-f]{16}-[0-9a-f]{12}\.zip")
_TYPES = {kind.__name__: kind for kind in (PartitionCoreset, Coreset, Moments, FeatureColumn)}


@dataclass(frozen=True)
class Entry:
    """What a manifest says of one coreset."""

    name: str
    """The partition."""

    partition: str
    """Fingerprint of its files, and of the filters on its rows."""

    reading: str
    """Names how its rows were read."""

    file: str
    sha256: str
    bytes: int
    size: int
    """Rows that the coreset was to have."""

    coreset_rows: int
    """Rows that it has."""

    rows: int
    """Rows that it stands for."""

    source_rows: int
    """Stored rows of the partition, those that filters drop included."""

    weight: float
    """Of all rows of the partition."""

    written: str
    """When, in UTC, by the clock of who wrote it."""

    files: tuple[tuple[str, int, str], ...] = ()
    """The files of the partition: URL, size, and ETag or time of change; none if it was kept by a
    version that did not note them."""


class CoresetStore:
    """Coresets of partitions, in a folder. One writer at a time; a lost race costs reads, no more.

    Parameters
    ----------
    url
        The folder, on any fsspec URL; it need not be there yet.
    storage_options
        For fsspec. They stay out of logs and files.

    Raises
    ------
    OutputExists
        If something else lies there.
    """

    def __init__(self, url: str, storage_options: Mapping[str, Any] | None = None) -> None:
        self.url = absolute(url)
        self._options = remember(storage_options)
        self._entries = self._read()

    def __repr__(self) -> str:
        return f"CoresetStore({redact(self.url)!r}, {len(self._entries)} partitions)"

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What the store holds, as it was when it was opened and by what was done here since."""
        return tuple(self._entries)

    def find(self, partition: Partition, reading: str) -> Entry | None:
        """Return the entry of a partition whose rows are read so; None if there is none."""
        wanted = (partition.name, partition.fingerprint, reading)
        for one in self._entries:
            if (one.name, one.partition, one.reading) == wanted:
                return one
        return None

    def load(self, entry: Entry) -> PartitionCoreset | None:
        """Return a coreset; None, with a word to the user, if it is lost or damaged."""
        try:
            data = read_bytes(join(self.url, entry.file), self._options)
            if hashlib.sha256(data).hexdigest() != entry.sha256:
                raise InputRefused("its bytes have changed")
            found = value_of(data, _TYPES, join(self.url, entry.file))
            if not isinstance(found, PartitionCoreset):
                raise InputRefused("it holds something else")
        except MissingInput:
            reporter().note(f"the coreset of {entry.name} is gone; the partition is read again")
        except InputRefused as error:
            reporter().note(
                f"the coreset of {entry.name} is damaged ({error}); the partition is read again"
            )
        else:
            return found
        return None

    def put(self, partition: Partition, reading: str, kept: PartitionCoreset) -> None:
        """Keep the coreset of a partition, in place of those of the same that were read so."""
        data = snapshot_of(kept)
        digest = hashlib.sha256(data).hexdigest()
        key = hashlib.sha256(repr((partition.name, partition.fingerprint, reading)).encode())
        entry = Entry(
            partition.name,
            partition.fingerprint,
            reading,
            f"coreset-{key.hexdigest()[:16]}-{digest[:12]}.zip",
            digest,
            len(data),
            kept.size,
            kept.n_coreset_rows,
            kept.n_rows,
            kept.n_source_rows,
            kept.moments.weight,
            datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            tuple((redact(file.url), file.size, file.version) for file in partition.files),
        )
        write_bytes(join(self.url, entry.file), data, self._options)
        self._keep_only(
            [one for one in self._entries if (one.name, one.reading) != (entry.name, reading)],
            entry,
        )

    def retain(self, names: Iterable[str]) -> list[str]:
        """Remove every coreset of partitions that are not named; return the names of those."""
        names = set(names)
        dropped = [one.name for one in self._entries if one.name not in names]
        if dropped:
            self._keep_only([one for one in self._entries if one.name in names])
        return list(dict.fromkeys(dropped))

    def forget(self, names: Iterable[str] | None = None) -> int:
        """Remove every stored row: of all partitions, or of those that are named.

        With all go what killed writers have left, and the manifest. Rows of the source are not
        touched: a partition that is read again is kept again.

        Returns
        -------
        int
            How many stored rows are gone, as far as the manifest knows them.
        """
        if names is not None:
            names = set(names)
            gone = [one for one in self._entries if one.name in names]
            self._keep_only([one for one in self._entries if one.name not in names])
            return sum(one.coreset_rows for one in gone)
        n_rows = sum(one.coreset_rows for one in self._entries)
        for name in names_at(self.url, self._options):
            if _FILE.fullmatch(name):
                remove(join(self.url, name), self._options)
        remove_unfinished(self.url, self._options)
        remove(join(self.url, _MANIFEST), self._options)
        self._entries = []
        return n_rows

    def tidy(self) -> None:
        """Remove what no manifest lists: rows that killed writers have left."""
        listed = {one.file for one in self._entries}
        for name in names_at(self.url, self._options):
            if is_unfinished(name) or (_FILE.fullmatch(name) and name not in listed):
                remove(join(self.url, name), self._options)

    def _keep_only(self, entries: list[Entry], new: Entry | None = None) -> None:
        """Write the manifest of some entries, and remove the files of the others."""
        before, self._entries = self._entries, entries if new is None else [*entries, new]
        body: dict[str, Any] = {
            "kind": _KIND,
            "format": _FORMAT,
            "entries": [asdict(one) for one in self._entries],
        }
        body["sha256"] = _digest(body)
        write_bytes(join(self.url, _MANIFEST), json.dumps(body, indent=1).encode(), self._options)
        listed = {one.file for one in self._entries}
        for one in before:
            if one.file not in listed:
                remove(join(self.url, one.file), self._options)

    def _read(self) -> list[Entry]:
        where = redact(self.url)
        try:
            data = read_bytes(join(self.url, _MANIFEST), self._options)
        except MissingInput:
            names = names_at(self.url, self._options)
            if any(not (_FILE.fullmatch(name) or is_unfinished(name)) for name in names):
                raise OutputExists(
                    f"{where} holds something else than coresets; pass another place."
                ) from None
            return []
        try:
            body = json.loads(data)
        except (ValueError, RecursionError):
            body = None
        if isinstance(body, dict) and (body.get("kind"), body.get("format")) != (_KIND, _FORMAT):
            raise OutputExists(
                f"{where} has a {_MANIFEST} of {body.get('kind')!r}, format "
                f"{body.get('format')!r}, which this version of dkmeans does not write; pass "
                "another place."
            )
        try:
            if not isinstance(body, dict) or body["sha256"] != _digest(body):
                raise ValueError
            entries = [_entry(one) for one in body["entries"]]
            if not all(_FILE.fullmatch(one.file) for one in entries):
                raise ValueError
            return entries
        except (ValueError, TypeError, KeyError):
            reporter().note(f"{_MANIFEST} at {where} is damaged: partitions are read again")
            return []


def _entry(body: Mapping[str, Any]) -> Entry:
    files = tuple(
        (str(url), int(size), str(version)) for url, size, version in body.get("files", ())
    )
    return Entry(**{**body, "files": files})


def _digest(body: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in body.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
