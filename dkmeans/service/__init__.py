"""A model behind HTTP: predict, health, metrics. Neither Dask nor scikit-learn."""
