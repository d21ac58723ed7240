"""Where rows live and how a pass runs over them. With `cluster`, the only storey that imports Dask."""
