"""Benchmarks: what `outcry bench` measures. Figures, never tests."""
