"""Versions of models, aliases that move between them, and how they are published and cleaned up."""
