"""The worker: one loop a file, any number of workers on one database."""
