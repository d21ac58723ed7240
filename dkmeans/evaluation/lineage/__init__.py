"""Which clusters of a new model are those of the one before: stable cluster ids."""
