"""Benchmarks, their metrics and the report that compares models on them; none is here yet."""
