"""What the clusters of a model are: statistics of their features, tests, words."""
