"""The same jobs on one machine and on a fleet: what people see is the same."""
