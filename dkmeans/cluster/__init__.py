"""Finding or starting a Dask cluster, and checking that its workers are fit."""
