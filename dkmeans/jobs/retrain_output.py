"""What a retrain writes beside versions: the clusters of its rows, and the model that serves."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dkmeans.errors import MissingInput
from dkmeans.jobs.challenge import Champion, job_rows
from dkmeans.jobs.load import Resolved
from dkmeans.jobs.own import are_own_clusters, is_own_model
from dkmeans.models.files import refuse_existing
from dkmeans.rows.clusters_out import read_manifest, refuse_existing_output, write_clusters
from dkmeans.storage.filesystem import remember


def refuse_foreign(run: Resolved, options: Mapping[str, Any]) -> None:
    """Raise `OutputExists` if something lies where results go that this job has not written."""
    output, name, reference = run.job.output, run.job.name, remember(options)
    if output.model is not None:
        ours = is_own_model(output.model, reference, job=name)
        refuse_existing(output.model, output.overwrite or ours, reference)
    if output.clusters is not None:
        ours = are_own_clusters(output.clusters, reference, job=name)
        refuse_existing_output(output.clusters, output.overwrite or ours, reference)


def write_outputs(
    run: Resolved, champion: Champion, snapshot: str, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the champion, and the clusters that it gives all rows of the job, if that is asked for.

    One pass for clusters; none where the same champion has written those of the same rows.
    """
    output, stored = run.job.output, {}
    if output.model is not None:
        champion.model.save(output.model, overwrite=True, storage_options=options)
        stored["model"] = output.model
    if output.clusters is None:
        return stored
    stored["clusters"] = output.clusters
    told = {"snapshot": snapshot, "model_version": champion.version}
    if _lie_there(output.clusters, told, options):
        return stored
    with job_rows(run, champion, options) as rows:
        if champion.model.filling is not None:
            rows = rows.filled(champion.model.filling)
        manifest = write_clusters(
            champion.model,
            rows,
            output.clusters,
            overwrite=True,
            storage_options=options,
            job={
                **run.record(),
                "run_id": champion.model.provenance["run_id"],
                "model": run.job.registry.place if run.job.registry else None,
                **told,
            },
        )
    stored["rows_assigned"] = manifest["rows_assigned"]
    return stored


def _lie_there(url: str, told: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    with suppress(MissingInput, ValueError):
        job = read_manifest(url, options).get("job")
        return isinstance(job, Mapping) and all(job.get(key) == one for key, one in told.items())
    return False
