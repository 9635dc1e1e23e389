"""What the benchmarks draw."""
