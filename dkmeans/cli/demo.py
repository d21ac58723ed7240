"""`dkmeans demo`: the whole job on real data that come with scikit-learn, in under a minute."""

import json
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from PIL import Image

from dkmeans.cli.options import json_option, say
from dkmeans.cluster.chosen import chosen_cluster
from dkmeans.errors import OutputExists
from dkmeans.estimators.kmeans import KMeans
from dkmeans.kernels.block import Array
from dkmeans.models.model import Model
from dkmeans.rows.clusters_out import MANIFEST, read_manifest, write_clusters
from dkmeans.rows.progress import reporting
from dkmeans.rows.reading import read_parquet

_FILES_A_PHOTO = 4
_CHANNELS = ["red", "green", "blue"]
_KEYS = ["photo", "row", "column"]


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("dkmeans-demo"),
    show_default=True,
    help="Folder for everything that the demo writes.",
)
@click.option(
    "--k", "n_clusters", type=int, default=12, show_default=True, help="Number of colors."
)
@click.option("--workers", type=int, default=2, show_default=True, help="Workers to start here.")
@json_option
def demo(out: Path, n_clusters: int, workers: int, as_json: bool) -> None:
    """Reduce two photographs to K colors: Parquet, fit, clusters, a saved model, pictures."""
    start = time.perf_counter()
    pixels, model_folder, clusters = out / "pixels", out / "model", out / "clusters"
    if out.exists() and any(out.iterdir()) and not (clusters / MANIFEST).exists():
        raise OutputExists(
            f"{out} holds something else than a demo; pass another folder with --out."
        )
    photos = load_photos()
    for name, photo in photos.items():
        write_pixels(photo, pixels / f"photo={name}")
    say(f"pixels: {sum(photo[..., 0].size for photo in photos.values()):,} rows in {pixels}")
    with (
        chosen_cluster(None, workers, "1GiB", say=say),
        reporting(),
        read_parquet(str(pixels), keys=_KEYS) as rows,
    ):
        estimator = KMeans(n_clusters, scale="standard", random_state=0).fit(rows)
        estimator.model_.save(str(model_folder), overwrite=True)
        model = Model.load(str(model_folder))
        manifest = write_clusters(model, rows, str(clusters), overwrite=True)
    pictures = [
        picture(name, photo, clusters, model, out / f"{name}.png") for name, photo in photos.items()
    ]
    result: dict[str, Any] = {
        "rows": manifest["rows"],
        "n_clusters": model.n_clusters,
        "inertia": model.inertia,
        "n_passes": estimator.n_passes_,
        "pixels": str(pixels),
        "model": str(model_folder),
        "clusters": str(clusters),
        "pictures": [str(path) for path in pictures],
        "seconds": time.perf_counter() - start,
    }
    if as_json:
        click.echo(json.dumps(result))
        return
    click.echo(
        f"\n{manifest['rows']:,} pixels in {model.n_clusters} colors, in {result['seconds']:.0f} s "
        f"and {estimator.n_passes_} passes. Where everything is:\n"
        f"  pixels    {pixels}      (Parquet, the input)\n"
        f"  model     {model_folder}       (JSON and .npy; try: dkmeans inspect {model_folder})\n"
        f"  clusters  {clusters}    (Parquet: photo, row, column, cluster_id, distance, ...)\n"
        f"  pictures  {', '.join(result['pictures'])}  (original and {model.n_clusters} colors)"
    )


def load_photos() -> dict[str, Array]:
    """Return the sample photographs of scikit-learn by name, `(height, width, 3)` uint8."""
    from sklearn.datasets import load_sample_image

    return {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}


def write_pixels(photo: Array, folder: Path) -> None:
    """Write a photograph's pixels as several Parquet files: row, column, red, green, blue."""
    folder.mkdir(parents=True, exist_ok=True)
    height, width, _ = photo.shape
    for number, lines in enumerate(np.array_split(np.arange(height), _FILES_A_PHOTO)):
        colors = photo[lines].reshape(-1, 3)
        columns = {
            "row": np.repeat(lines, width).astype(np.int32),
            "column": np.tile(np.arange(width, dtype=np.int32), len(lines)),
            **{channel: colors[:, i] for i, channel in enumerate(_CHANNELS)},
        }
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")


def picture(name: str, photo: Array, clusters: Path, model: Model, path: Path) -> Path:
    """Draw the photograph beside itself in the colors of its pixels' clusters."""
    files = [clusters / file["path"] for file in read_manifest(str(clusters))["files"]]
    table = pa.concat_tables([pq.read_table(file, partitioning=None) for file in files])
    table = table.filter(pa.compute.equal(table["photo"], name))
    palette = np.clip(np.rint(model.centers), 0, 255).astype(np.uint8)
    label_of = np.argsort(model.cluster_ids)
    reduced = np.empty_like(photo)
    row, column = table["row"].to_numpy(), table["column"].to_numpy()
    reduced[row, column] = palette[label_of[table["cluster_id"].to_numpy()]]
    gap = np.full((photo.shape[0], 8, 3), 255, np.uint8)
    Image.fromarray(np.hstack([photo, gap, reduced])).save(path, optimize=True)
    return path
