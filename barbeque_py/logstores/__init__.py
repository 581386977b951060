"""Log stores: one file per place that can keep what attempts wrote."""
