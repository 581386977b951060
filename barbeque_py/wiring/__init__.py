"""Puts the parts together: the only place that picks adapters, by the settings' URLs."""
