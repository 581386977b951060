"""An app without a framework."""
