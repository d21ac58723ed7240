"""Make a bucket, and in it rows to cluster as Parquet, unless something lies there.

For trying things out: eight groups of rows in four dimensions, the same whenever they are made.
"""

import sys

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

N_FILES, N_ROWS = 8, 25_000


def main(url: str) -> None:
    """Write `N_FILES` files of `N_ROWS` rows to a folder on S3."""
    files, folder = fsspec.core.url_to_fs(url)
    bucket = folder.partition("/")[0]
    if not files.exists(bucket):
        # not mkdir: it may name the default region, which S3 refuses
        files.call_s3("create_bucket", Bucket=bucket)
    if files.glob(f"{folder}/*.parquet"):
        return
    rng = np.random.default_rng(0)
    middles = rng.uniform(-50, 50, size=(8, 4))
    for number in range(N_FILES):
        X = middles[rng.integers(0, 8, N_ROWS)] + rng.normal(size=(N_ROWS, 4))
        columns = {name: X[:, column] for column, name in enumerate(("a", "b", "c", "d"))}
        table = pa.table({"row": np.arange(N_ROWS) + number * N_ROWS, **columns})
        with files.open(f"{folder}/part-{number}.parquet", "wb") as file:
            pq.write_table(table, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
