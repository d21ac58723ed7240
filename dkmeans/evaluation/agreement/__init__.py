"""How well clusters agree with true labels."""
