"""Spark MLlib on `local[threads]`, its input cached; one fit before any that is timed."""

import tempfile
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.ml.clustering import KMeans
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import array_to_vector
from pyspark.sql import SparkSession
from pyspark.sql.functions import col

from tests.benchmarks.peers.base import Peer, Run, timed

HEAP = "6g"


class Spark(Peer):
    """`pyspark.ml.clustering.KMeans`, default seeding."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._folder = tempfile.TemporaryDirectory(prefix="dkmeans-spark-")
        self._session = (
            SparkSession.builder.master(f"local[{threads}]")
            .config("spark.driver.memory", HEAP)
            .config("spark.ui.enabled", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.local.dir", self._folder.name)
            .config("spark.sql.warehouse.dir", self._folder.name)
            .getOrCreate()
        )
        self._session.sparkContext.setLogLevel("ERROR")

    def load(self, path: str) -> None:
        X = np.load(path)
        flat = pa.array(X.astype(np.float64).ravel())
        offsets = pa.array(np.arange(0, X.size + 1, X.shape[1]), pa.int32())
        file = f"{self._folder.name}/rows.parquet"
        table = pa.table({"x": pa.ListArray.from_arrays(offsets, flat)})
        pq.write_table(table, file, row_group_size=max(1, len(X) // (4 * self.threads)))
        frame = self._session.read.parquet(file).select(array_to_vector(col("x")).alias("features"))
        self.X = frame.repartition(2 * self.threads).cache()
        self.X.count()
        # compiles what fits compile
        KMeans(k=2, maxIter=1, seed=0).fit(self.X)

    def fit(self, k: int, budget: int, seed: int) -> Run:
        model = KMeans(k=k, maxIter=budget, tol=0.0, seed=seed)
        seconds, fitted = timed(model.fit, self.X)
        return Run(seconds, np.array(fitted.clusterCenters()), int(fitted.summary.numIter))

    def fit_files(self, folder: str, k: int, n_iter: int, seed: int) -> Run:
        def whole() -> Any:
            frame = self._session.read.parquet(folder)
            vectors = VectorAssembler(inputCols=frame.columns, outputCol="features")
            # MLlib keeps the rows in memory itself
            return KMeans(k=k, maxIter=n_iter, seed=seed).fit(vectors.transform(frame))

        seconds, fitted = timed(whole)
        return Run(seconds, np.array(fitted.clusterCenters()), int(fitted.summary.numIter))

    def close(self) -> None:
        self._session.stop()
        self._folder.cleanup()
