"""A fitted model: what it holds, how it assigns rows, how it is saved. No Dask."""
