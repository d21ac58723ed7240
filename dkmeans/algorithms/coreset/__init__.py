"""A few rows that stand for all, found by one read, and models solved on them in memory."""
