"""The worker over real stores and real executors."""
