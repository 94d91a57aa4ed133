"""Benchmarks: they print figures, and write them to build/bench/."""
