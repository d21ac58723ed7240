"""Windows that move over partitions: a coreset of each, kept, and models of several together."""
