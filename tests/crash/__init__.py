"""Workers killed at every point, and what must be true afterwards."""
