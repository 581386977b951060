"""Executors: one file per engine that can run a container."""
