"""Arithmetic on one block of rows in memory. Neither Dask nor I/O."""
