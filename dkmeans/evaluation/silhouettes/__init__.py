"""The Euclidean silhouette, exact in memory and estimated from a sample."""
