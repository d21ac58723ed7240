"""Where rows live and how a pass runs over them. With `cluster`, all that imports Dask."""
