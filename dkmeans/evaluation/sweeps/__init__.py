"""Several numbers of clusters compared: their figures, the elbow, and which of them stands out."""
