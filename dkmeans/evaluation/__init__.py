"""How good a model is on some rows, and what its clusters are."""
