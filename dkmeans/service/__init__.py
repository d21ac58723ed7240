"""A model behind HTTP: rows in, clusters out. No Dask, no scikit-learn, no pandas.

`following` knows which model is served and `live` what metrics tell; `serving` runs it all.
"""
