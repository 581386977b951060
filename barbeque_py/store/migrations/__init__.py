"""The schema's history: numbered, forward only, the same on SQLite and MySQL."""
