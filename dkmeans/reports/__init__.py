"""Reports: one HTML file that shows and explains a model."""
