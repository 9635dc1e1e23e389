"""Measures of speed, peer beside us in one run: ``python -m benchmarks --help``."""
