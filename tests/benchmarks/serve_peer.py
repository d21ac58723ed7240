"""What people write who serve scikit-learn's k-means themselves: FastAPI, pydantic, uvicorn.

`python -m tests.benchmarks.serve_peer MODEL PORT` serves a saved model of ours, turned into a
scikit-learn pipeline: same centers, same answers. It checks what pydantic checks, and no more:
columns have no names, there are no limits, no tokens, no figures and no log.
"""

import sys
from typing import Any

import numpy as np
import pyarrow as pa
import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from dkmeans.models.model import Model

STREAM = "application/vnd.apache.arrow.stream"


class Rows(BaseModel):
    """A body."""

    rows: list[list[float]]


def application(url: str) -> FastAPI:
    """Return the application for a model."""
    model = Model.load(url)
    pipeline, dtype = model.to_sklearn(), np.dtype(model.dtype)
    ids = model.cluster_ids
    app = FastAPI()

    def nearest(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distances = pipeline.transform(X)
        labels = distances.argmin(axis=1)
        return ids[labels], distances[np.arange(len(X)), labels]

    # a coroutine: threads would make single rows slower
    @app.post("/predict")
    async def predict(body: Rows) -> dict[str, Any]:
        found, distances = nearest(np.array(body.rows, dtype))
        return {"cluster_ids": found.tolist(), "distances": distances.tolist()}

    @app.post("/bulk")
    async def bulk(request: Request) -> Response:
        table = pa.ipc.open_stream(await request.body()).read_all()
        X = np.column_stack([column.to_numpy() for column in table.columns]).astype(dtype)
        found, distances = nearest(X)
        out = pa.table({"cluster_id": found, "distance": distances})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, out.schema) as stream:
            stream.write_table(out)
        return Response(sink.getvalue().to_pybytes(), media_type=STREAM)

    return app


if __name__ == "__main__":
    uvicorn.run(application(sys.argv[1]), port=int(sys.argv[2]), access_log=False)
