"""Registries of images: one file per way to ask them, and the one that knows which way it is."""
