"""What a job is: the one definition that job files are read by, checked against and described by.

Every field is a key. One without a default has to be written. The string below a field is what
editors show.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from dkmeans.jobs.fitting import Cluster, Data, Settings
from dkmeans.jobs.kinds import Choice, Flag, Integer, Many, Number, Text
from dkmeans.jobs.own_kinds import (
    Matching,
    Place,
    Quantity,
)
from dkmeans.jobs.record_kind import Record, TextOr
from dkmeans.jobs.rule_kinds import Rules
from dkmeans.jobs.rules import DEFAULT_GATES, Rule
from dkmeans.jobs.secret_kinds import Secret
from dkmeans.jobs.secrets import Env
from dkmeans.models.scaling import SCALES

Task = Literal["train", "retrain", "predict"]


@dataclass(frozen=True)
class Registry:
    """Where versions of the model are kept."""

    url: Annotated[str | None, Place(sample="s3://models/customers")] = None
    """The registry, on a local disk or any fsspec URL; URL@alias names the alias, too. Of train and
    retrain by default models/NAME."""

    alias: Annotated[
        str | None,
        Matching(
            "letters, digits, _ and -", "champion", templates=False, pattern=r"[A-Za-z0-9_-]+"
        ),
    ] = None
    """The alias that a retrain moves and a predict reads: champion. A predict may have a version
    number in its place."""

    @property
    def place(self) -> str:
        """The registry, without the alias."""
        return self._parts[0]

    @property
    def name(self) -> str:
        """The alias, or the number of a version."""
        return self.alias or self._parts[1] or "champion"

    @property
    def _parts(self) -> tuple[str, str]:
        """What stands before the @ behind the last slash, and behind it."""
        url = self.url or ""
        place, at, name = url.rpartition("@")
        # what an @ in the host divides are no alias
        is_alias = at and name and "/" not in name and "/" in place.partition("://")[2]
        is_alias = is_alias or (at and name and "/" not in name and "://" not in place)
        return (place, name) if is_alias else (url, "")


@dataclass(frozen=True)
class Output:
    """Where results go, but for the registry."""

    clusters: Annotated[str | None, Place(sample="'s3://lake/clusters/dt={{ as_of }}'")] = None
    """A folder for the cluster of each row, as Parquet. Of predict by default
    clusters/NAME/DATE."""

    model: Annotated[str | None, Place(sample="s3://lake/model")] = None
    """A folder for the model."""

    sweep: Annotated[str | None, Place(sample="s3://lake/sweep")] = None
    """A folder for all models of a sweep, and how they compare."""

    overwrite: Annotated[bool, Flag()] = False
    """Replace what lies there already. What a job of the same name has written is replaced
    anyway."""


@dataclass(frozen=True)
class Limits:
    """What a run may cost. A run that ends for it is stopped, and can go on from a checkpoint."""

    max_passes: Annotated[int | None, Integer(1)] = None
    """Most passes over the rows; of a window: over any one row."""

    max_bytes: Annotated[int | None, Quantity("bytes")] = None
    """Most bytes to read from the source, as 50 GB."""

    max_seconds: Annotated[float | None, Quantity("seconds")] = None
    """Begin no pass that would end later, as 2h."""


@dataclass(frozen=True)
class Lock:
    """What becomes of a retrain while another run of the same job is at it."""

    overlap: Literal["leave", "wait"] = "leave"
    """End at once with a message, or wait for the other."""

    wait: Annotated[float, Quantity("seconds")] = 3600
    """How long to wait at most, as 1h."""

    stale: Annotated[float, Quantity("seconds")] = 60
    """After how long without a sign of life the other is taken for dead, as 5min. A run that lives
    says so four times in that time, and one that was killed on this machine is known at once."""


@dataclass(frozen=True)
class Drift:
    """From where on a retrain reports drift; what is not given is as `dkmeans drift` has it."""

    cluster_psi: Annotated[float | None, Number(least=0)] = None
    """Population stability index of the shares of clusters."""

    distance_ks: Annotated[float | None, Number(least=0)] = None
    """Kolmogorov-Smirnov statistic of the distances of a cluster's rows to its center."""

    distance_shift: Annotated[float | None, Number(least=0)] = None
    """Wasserstein distance of the same, as a share of their mean."""

    center_shift: Annotated[float | None, Number(least=0)] = None
    """How far the mean of a cluster has moved, in root mean squared distances to its center."""

    feature_psi: Annotated[float | None, Number(least=0)] = None
    """Population stability index of a feature."""

    mean_shift: Annotated[float | None, Number(least=0)] = None
    """Shift of the mean of a feature, in standard deviations."""

    variance_ratio: Annotated[float | None, Number(least=1)] = None
    """Ratio of the variances of a feature, the larger over the smaller."""

    outside_share: Annotated[float | None, Number(least=0)] = None
    """Share of rows with a feature outside of its range."""

    beyond_share: Annotated[float | None, Number(least=0)] = None
    """Share of rows farther from all centers than 99 % were, above what it was."""

    missing_share: Annotated[float | None, Number(least=0)] = None
    """Share of rows that lack a value, above what it was."""

    false_alarm: Annotated[float | None, Number(above=0, below=1)] = None
    """Probability of an alarm where nothing has changed, of all figures together."""

    def thresholds(self) -> dict[str, float]:
        """Return those that are given, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Retention:
    """What a retrain removes of its registry: nothing, unless older_than is given."""

    older_than: Annotated[float | None, Quantity("seconds")] = None
    """Files of versions that are older, as 90d, unless an alias, a tag or a rollback needs them;
    and what unfinished publishings have left."""

    keep: Annotated[int, Integer(0)] = 5
    """How many rollbacks of each alias must stay possible."""


@dataclass(frozen=True)
class Notify:
    """Who is told of a run that has ended."""

    webhook: Annotated[str | Env | None, Secret()] = field(default=None, repr=False)
    """A URL that gets a JSON object by POST; {env: NAME} keeps it out of the file. Never shown."""

    token: Annotated[Env | None, Secret(may_be_text=False)] = field(default=None, repr=False)
    """What the webhook gets as its bearer token, as {env: NAME}."""

    command: Annotated[tuple[str, ...] | None, Many(Text(sample="notify-me", templates=False))] = (
        None
    )
    """A program and its arguments, which gets the JSON object on standard input."""

    when: Annotated[
        tuple[str, ...],
        Many(Choice(("always", "trouble", "refused", "drift", "failed", "stopped", "done"))),
    ] = ("trouble",)
    """Of which ends; trouble is all but done."""


@dataclass(frozen=True)
class Job:
    """One task on a schedule."""

    task: Task
    """train: fit and store a model; retrain: challenge the champion of a registry; predict: write
    the clusters of rows."""

    name: Annotated[
        str,
        Matching(
            "lower-case letters, digits, _ and -",
            "nightly-customers",
            templates=False,
            pattern=r"[a-z0-9][a-z0-9_-]{0,62}",
        ),
    ]
    """Names the job in everything that it writes."""

    data: Annotated[Data, Record(Data)]
    """The rows."""

    model: Annotated[
        Settings | str | None,
        TextOr(
            Place(rule="a reference of a model", sample="s3://models/customers@champion"),
            Record(Settings),
        ),
    ] = None
    """What is fitted. Of predict a text: a saved model, URL@alias or URL@17 of a registry."""

    scale: Annotated[str, Choice((*SCALES, "none"))] = "standard"
    """Scaling of features, or of rows to length 1, before distances."""

    stage: Literal["auto", "memory", "disk", "none"] = "auto"
    """Where decoded rows stay between passes."""

    cluster: Cluster = field(default_factory=Cluster)
    """Where passes run."""

    checkpoint: Annotated[str | None, Place(sample="s3://lake/checkpoints")] = None
    """A folder for the state of a fit after each pass. A run of the same job on the same data goes
    on from it by itself; it is removed when all is done."""

    registry: Annotated[Registry | None, Record(Registry, short="url")] = None
    """Where versions of the model are kept. Of train and retrain by default models/NAME, unless
    output.model is given."""

    output: Annotated[Output, Record(Output, short="clusters")] = Output()
    """Where results go; a text is the place of clusters."""

    gates: Annotated[tuple[Rule, ...], Rules()] = DEFAULT_GATES
    """What a challenger must keep to before a retrain promotes it; rules take the place of the
    default ones, metric by metric; off has none."""

    drift: Drift = Drift()
    """From where on a retrain reports drift. It is reported, and no more: gates decide."""

    limits: Limits = Limits()
    """What a run may cost."""

    lock: Lock = Lock()
    """What becomes of runs that overlap."""

    retention: Retention = Retention()
    """What is removed."""

    notify: Notify = Notify()
    """Who is told."""
