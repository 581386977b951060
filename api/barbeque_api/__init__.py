"""The HTTP API: Barbeque's v1 and v2, and what v2 has grown since."""
