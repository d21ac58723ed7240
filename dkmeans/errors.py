"""Every error that dkmeans raises on purpose, with the exit code that the command line gives it.

Each takes one sentence: the name as the user wrote it, the value, the rule, the remedy. All that
they hold is in `args`, so that each survives pickling on its way back from a worker.
"""

from typing import ClassVar


class DkmeansError(Exception):
    """Something that dkmeans refuses or cannot do, in one sentence with its remedy."""

    exit_code: ClassVar[int] = 1


class ArgumentError(DkmeansError, ValueError):
    """A parameter has a value that it cannot have."""

    exit_code = 2


class JobRefused(ArgumentError):
    """A job file cannot be run as it is written: a line for each thing that is wrong."""


class OutputExists(ArgumentError):
    """Something already lies where the result should go."""


class ExportRefused(DkmeansError):
    """An exported model does not assign rows as the model that it came from."""


class StoreUnfit(ArgumentError):
    """A store cannot keep several writers apart, as a registry needs it."""


class WorkersUnfit(DkmeansError):
    """The workers lack dkmeans, or run other versions than the client."""

    exit_code = 2


class InputRefused(DkmeansError, ValueError):
    """The data cannot be clustered as they are."""

    exit_code = 3


class MissingInput(FileNotFoundError, InputRefused):
    """There is nothing to read at the given path."""

    # FileNotFoundError first: copies made while unpickling use the first base's __new__


class UnreadableFile(InputRefused):
    """A file is not Parquet, is truncated, or is damaged somewhere."""

    def __init__(self, message: str, url: str = "") -> None:
        super().__init__(message, url)

    def __str__(self) -> str:
        return str(self.args[0])

    @property
    def url(self) -> str:
        """The file, as it was planned; empty if the error is not about one."""
        return str(self.args[1])


class InputChanged(InputRefused):
    """A file is not the one that was planned, or a checkpoint belongs to other data or settings."""


class StaleCheckpoint(InputChanged):
    """A checkpoint belongs to other data, settings or versions."""


class SchemaMismatch(InputRefused):
    """A column is missing, or has a type that cannot be used."""


class UnsupportedType(SchemaMismatch, TypeError):
    """Rows are sparse, complex, or no numbers at all."""


class BadValues(InputRefused):
    """A feature or weight has nulls, NaN, infinities or negative weights."""


class TooFewRows(InputRefused):
    """There are fewer rows than clusters, or none."""


class ModelRefused(InputRefused):
    """A model file is damaged, or was written in another format."""


class FeaturesMismatch(InputRefused):
    """Rows given for prediction do not have the features that the model was fitted on."""


class TooLarge(InputRefused, MemoryError):
    """Something that must fit in the memory of one process does not."""


class ClusterUnreachable(DkmeansError, ConnectionError):
    """No scheduler answers at the given address."""

    exit_code = 7


class ClusterLost(DkmeansError):
    """The scheduler or all workers went away during a pass."""

    exit_code = 7


class BudgetSpent(DkmeansError):
    """The next pass would go beyond what the job may cost."""

    exit_code = 7


class JobRunning(DkmeansError):
    """Another run of the same job is at it."""

    exit_code = 8


class LockLost(DkmeansError):
    """A run was taken for dead, and another one of the same job has begun."""

    exit_code = 7


class AliasMoved(DkmeansError):
    """Somebody else has moved an alias since it was looked at."""

    exit_code = 7


class StoreUnreachable(DkmeansError, OSError):
    """An object store or disk refuses or fails a request."""

    exit_code = 7


class GateRefused(DkmeansError):
    """A challenger does not keep to the rules of its gate; the champion stays."""

    exit_code = 5


class DriftFound(DkmeansError):
    """Rows are no longer like those that a model was fitted to."""

    exit_code = 6


class DkmeansWarning(UserWarning):
    """A result that the user may not want."""


class ConvergenceWarning(DkmeansWarning):
    """A fit found fewer distinct clusters than were asked for, or was cut short."""


class FitInterrupted(ConvergenceWarning):
    """A fit was interrupted, and returns the best that it had found."""


class ConstantFeature(DkmeansWarning):
    """A feature has the same value in every row."""


class SuspectColumn(DkmeansWarning):
    """A column looks like something that should not be clustered."""


class RowOrderIsKey(DkmeansWarning):
    """Clusters are written without key columns: only the row order ties them to the input."""
