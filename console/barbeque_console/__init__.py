"""The web console: what runs, how it went, what it wrote."""
