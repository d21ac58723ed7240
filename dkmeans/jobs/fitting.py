"""The keys of a job that say what is fitted: to which rows, how, and where passes run.

As in `dkmeans.jobs.definition`, every field is a key, and the string below it is what editors show.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from dkmeans.jobs.filter_kinds import Filters
from dkmeans.jobs.kinds import Choice, Integer, Many, Number, Text
from dkmeans.jobs.own_kinds import Counts, HalfLife, HalfLives, Matching, Place, Quantity
from dkmeans.jobs.record_kind import Record
from dkmeans.jobs.secret_kinds import Secrets


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
