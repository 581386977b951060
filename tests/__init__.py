"""Tests of barbeque_py."""
