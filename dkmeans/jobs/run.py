"""Run a job: whatever its task is."""

from dkmeans.errors import ArgumentError
from dkmeans.jobs.definition import Notify
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.outcome import Outcome
from dkmeans.rows.progress import reporter


def run_job(run: Resolved) -> Outcome:
    """Do what a job says.

    Raises
    ------
    DkmeansError
        As the task does.
    """
    if run.job.notify != Notify():
        reporter().note("note: notify is not acted on yet; watch the exit code of this command")
    if run.job.task == "train":
        from dkmeans.jobs.train import train

        return train(run)
    if run.job.task == "predict":
        from dkmeans.jobs.predict import predict

        return predict(run)
    raise ArgumentError(
        "task: retrain cannot be run by this version of dkmeans; write task: train, and promote "
        "what it publishes."
    )
