"""How passes follow each other. Neither Dask nor Parquet.

An algorithm is a generator: it yields what it wants of the next pass and gets the merged partial,
with the pass's record to write its findings into. `drive` runs several over the same rows, which
share every pass: restarts cost computation, but no reads.
"""
