"""Measures this product against the bare thing beside it: ratios, interleaved, in the same run."""
