"""AWS on one machine, for tests: an own SQS and ECS with faults, moto for the rest."""
