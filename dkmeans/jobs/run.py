"""Do the task of a job: whatever it is."""

from dkmeans.errors import ArgumentError
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.outcome import Outcome


def do_task(run: Resolved, *, shadow: bool = False) -> Outcome:
    """Do what a job says; in `shadow` a retrain promotes nothing.

    Raises
    ------
    DkmeansError
        As the task does.
    """
    if shadow and run.job.task != "retrain":
        raise ArgumentError(
            f"--shadow goes with task: retrain, which promotes; this one is task: {run.job.task}."
        )
    if run.job.task == "train":
        from dkmeans.jobs.train import train

        return train(run)
    if run.job.task == "predict":
        from dkmeans.jobs.predict import predict

        return predict(run)
    from dkmeans.jobs.retrain import retrain

    return retrain(run, shadow=shadow)
