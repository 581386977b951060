"""Brokers: one file per system that can carry messages."""
