"""Adapters: one file per channel; only wiring picks one."""
