"""`MLflowCallback`: a fit as a run of MLflow. MLflow is imported only when one is used."""

import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from dkmeans.algorithms.callbacks import Event
from dkmeans.errors import ArgumentError
from dkmeans.models.model import Model


class MLflowCallback:
    """Log a fit to MLflow, for `KMeans(callbacks=[MLflowCallback()])`.

    Logged are the parameters of the fit; inertia, gain, seconds and rows of each pass, with its
    number as the step; and at the end the seed, what the fit took, and how it ended. It goes to the
    active run, which should hold one fit, or to a run of its own, which then ends with the fit:
    FINISHED, or FAILED if an exception ends the fit. Tracking server and experiment are MLflow's
    own settings.

    Parameters
    ----------
    run_name
        Name of the run, if there is no active one.
    log_model
        Whether the model's folder, as `Model.save` writes it, becomes the artifact "model".

    Raises
    ------
    ArgumentError
        When a fit begins, if MLflow is not installed.
    """

    def __init__(self, run_name: str | None = None, *, log_model: bool = False) -> None:
        self.run_name = run_name
        self.log_model = log_model
        self._run_id = ""
        self._is_own = False

    def began(self, parameters: Mapping[str, Any]) -> None:
        """Log parameters to the active run, or to a new one."""
        mlflow = _mlflow()
        run = mlflow.active_run()
        self._is_own = run is None
        if run is None:
            run = mlflow.start_run(run_name=self.run_name)
        self._run_id = run.info.run_id
        self._log(params=parameters)

    def __call__(self, event: Event) -> None:
        """Log a pass."""
        if event.kind == "step":
            # a request each would take longer than many a step
            return
        found = {name: getattr(event, name) for name in ("inertia", "gain", "rows", "seconds")}
        self._log({name: value for name, value in found.items() if value is not None}, event.number)

    def ended(self, model: Model) -> None:
        """Log how the fit ended, and the model if asked for; end the run if it is our own."""
        known = model.provenance
        took = ("n_iter", "n_passes", "rows_read", "bytes_read")
        said = ("run_id", "converged", "stopped_by")
        files = [file["url"] for file in known["files"]]
        self._log(
            {name: known[name] for name in took},
            known["n_passes"],
            params={"seed": known["seed"]},
            tags={
                "dkmeans.version": known["versions"]["dkmeans"],
                **{f"dkmeans.{name}": known[name] for name in said},
                **({"dkmeans.input": _input(files)} if files else {}),
            },
        )
        if self.log_model:
            with tempfile.TemporaryDirectory() as folder:
                model.save(os.path.join(folder, "model"))
                _mlflow().MlflowClient().log_artifacts(self._run_id, folder)
        self._end("FINISHED")

    def failed(self, error: BaseException) -> None:
        """Log the kind of error; end the run as failed if it is our own."""
        if self._run_id:
            try:
                self._log(tags={"dkmeans.error": type(error).__name__})
            finally:
                self._end("FAILED")

    def _log(
        self,
        metrics: Mapping[str, float] | None = None,
        step: int = 0,
        *,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
    ) -> None:
        """Log all in one request."""
        mlflow = _mlflow()
        now = int(time.time() * 1000)
        kinds = mlflow.entities
        mlflow.MlflowClient().log_batch(
            self._run_id,
            [
                kinds.Metric(name, float(value), now, step)
                for name, value in (metrics or {}).items()
            ],
            [kinds.Param(name, str(value)) for name, value in (params or {}).items()],
            [kinds.RunTag(name, str(value)) for name, value in (tags or {}).items()],
        )

    def _end(self, status: str) -> None:
        self._run_id = ""
        if self._is_own:
            _mlflow().end_run(status)


def _input(files: Sequence[str]) -> str:
    return files[0] if len(files) == 1 else f"{files[0]} and {len(files) - 1:,} more"


def _mlflow() -> Any:
    try:
        return import_module("mlflow")
    except ImportError as error:
        raise ArgumentError(
            f"MLflowCallback needs MLflow: {error}; run `pip install dkmeans[mlflow]`."
        ) from None
