"""Run container jobs, exactly one container per attempt, from a laptop to a fleet."""
