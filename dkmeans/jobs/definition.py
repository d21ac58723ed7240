"""What a job is: the one definition that job files are read by, checked against and described by.

Every field is a key. One without a default has to be written. The string below a field is what
editors show.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from dkmeans.jobs.filter_kinds import Filters
from dkmeans.jobs.kinds import Choice, Flag, Integer, Many, Number, Text
from dkmeans.jobs.own_kinds import (
    Counts,
    HalfLife,
    HalfLives,
    Matching,
    Place,
    Quantity,
)
from dkmeans.jobs.record_kind import Record, TextOr
from dkmeans.jobs.rule_kinds import Rules
from dkmeans.jobs.rules import DEFAULT_GATES, Rule
from dkmeans.jobs.secret_kinds import Secret, Secrets
from dkmeans.jobs.secrets import Env
from dkmeans.models.scaling import SCALES

Task = Literal["train", "retrain", "predict"]


@dataclass(frozen=True)
class Data:
    """The rows of a job."""

    url: Annotated[tuple[str, ...], Many(Place(sample="'s3://lake/events/dt={{ as_of }}'"))]
    """Parquet files, folders or globs, on a local disk, s3:// or any other fsspec URL."""

    columns: Annotated[tuple[str, ...] | None, Many(Text("the name of a column", "amount"))] = None
    """The feature columns; all of numbers and lists of numbers, if they are not named."""

    filters: Annotated[tuple[Any, ...], Filters()] = ()
    """Rows to use, as 'dt >= {{ as_of - 7d }}': a list of comparisons that must all hold, or a list
    of such lists, any of which may."""

    keys: Annotated[tuple[str, ...], Many(Text("the name of a column", "customer"))] = ()
    """Columns that tell rows apart: written beside the clusters, never clustered."""

    weight: str | None = None
    """The column of sample weights."""

    storage_options: Annotated[Mapping[str, Any], Secrets()] = field(
        default_factory=dict, repr=False
    )
    """For the store of every URL of the job. A value {env: NAME} is looked up in the environment of
    whoever runs the job; no value is ever shown or stored."""

    missing: Literal["raise", "drop", "mean"] = "raise"
    """Rows with missing values: refuse, leave out, or fill with the column's mean."""

    on_bad_file: Literal["raise", "skip"] = "raise"
    """Files that cannot be read: refuse, or leave out whole."""

    max_bad_files: Annotated[int | None, Integer(0)] = None
    """Most files to leave out; any number, if it is not given."""

    dtype: Literal["float32", "float64"] = "float32"
    """What features are decoded to."""

    block_bytes: Annotated[int | None, Quantity("bytes")] = None
    """Bytes of a decoded block; 32 MiB, or less where the data are small."""

    sample: Annotated[float | None, Number(above=0)] = None
    """Fit on a share of the rows, as 0.05, or on about so many, as 100000."""


@dataclass(frozen=True)
class Window:
    """A window that moves: of each partition a coreset is kept, and only new ones are read."""

    partitions: Annotated[
        tuple[str, ...] | None, Many(Text("the name of a partition column, or file", "dt"))
    ] = None
    """The columns whose folders, as dt=2026-11-20, tell partitions apart; or file, for each file
    apart. All partition columns, if nothing is said; file where there are none."""

    coresets: Annotated[str | None, Place(sample="s3://lake/coresets")] = None
    """A folder for the coresets. They hold rows of the data: whoever may read them reads rows, and
    who deletes rows of the source has to delete them here, too, with `dkmeans models forget-rows`.
    None are kept, and all partitions read, if it is not given."""


@dataclass(frozen=True)
class Settings:
    """What is fitted, for the tasks train and retrain."""

    n_clusters: Annotated[int | None, Integer(1)] = None
    """Number of clusters."""

    sweep: Annotated[tuple[int, ...] | None, Counts()] = None
    """Several numbers of clusters, as 2:30 or [10, 20, 50]; one of them is chosen."""

    choose: Literal["recommended", "elbow"] = "recommended"
    """Which of a sweep: the number that stands out, else the elbow; or the elbow."""

    algorithm: Literal["lloyd", "minibatch"] = "lloyd"
    """Exact iterations over all rows, or mini-batches."""

    init: Annotated[
        str | None,
        Choice(("coreset", "k-means||", "scalable", "k-means++", "random", "champion", "scratch")),
    ] = None
    """Where centers start. Of train: coreset, or k-means|| of minibatch. Of retrain: champion, the
    champion's centers and scale; coreset, fresh centers and the champion's, in its scale; scratch
    has nothing of it."""

    random_state: Annotated[int, Integer(0)] = 0
    """Seed: the same data and seed give the same model."""

    half_life: Annotated[HalfLife | None, HalfLives()] = None
    """How much passes until what came before counts half: rows or batches of minibatch; rows or a
    span, as 30d, of retrain, which else forgets nothing."""

    window: Annotated[Window | None, Record(Window)] = None
    """Of retrain: the rows are those of partitions, which come and go. Of these coresets are kept
    where it is asked for, and they hold rows."""

    n_init: Annotated[int | None, Integer(1)] = None
    """Restarts; they share passes. 1; 8 of coreset; 3 of minibatch, and for each k of a sweep."""

    tol: Annotated[float | None, Number(least=0)] = None
    """Stop when a pass can lower the inertia by at most this share: 0.0001; of minibatch 0.001."""

    max_iter: Annotated[int | None, Integer(1)] = None
    """Most iterations of lloyd: 300."""

    coreset_size: Annotated[int | None, Integer(2)] = None
    """Rows of a coreset: 1024 a cluster, from 200000 to 5000000."""

    batch_size: Annotated[int | None, Integer(1)] = None
    """Rows of a step of minibatch: 16384."""

    max_epochs: Annotated[int | None, Integer(1)] = None
    """Most epochs of minibatch: 100."""

    max_no_improvement: Annotated[int | None, Integer(1)] = None
    """Looks at held-out rows without improvement that end minibatch: 10."""

    learning_rate: Literal["count", "share"] | None = None
    """How far a batch of minibatch moves a center: count."""


@dataclass(frozen=True)
class Cluster:
    """Where passes run: at most one of address, local and factory."""

    local: Annotated[int | None, Integer(0)] = None
    """Start so many workers on this machine; 0 for threads. One a core, if nothing is said."""

    memory: Annotated[
        str | None, Matching("a size", "4GiB", pattern=r"\d+(\.\d+)?\s*[kMGT]i?B")
    ] = None
    """Memory limit of each local worker; an equal share of 80 % of the machine's."""

    address: Annotated[str | None, Text("the address of a scheduler", "tcp://scheduler:8786")] = (
        None
    )
    """A Dask scheduler that runs."""

    tls_ca: Annotated[str | None, Place(rule="a path", sample="ca.pem")] = None
    """CA certificate of the cluster."""

    tls_cert: Annotated[str | None, Place(rule="a path", sample="cert.pem")] = None
    """Our certificate."""

    tls_key: Annotated[str | None, Place(rule="a path", sample="key.pem")] = None
    """Our key."""

    factory: Annotated[
        str | None,
        Matching(
            "the name of a function",
            "mypackage.clusters:make_client",
            templates=False,
            pattern=r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*",
        ),
    ] = None
    """module:function, called without arguments, that returns a Dask Client. It is closed at the
    end, with the cluster that it has started."""


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
    """Most passes over the rows."""

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

    cluster: Cluster = Cluster()
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
