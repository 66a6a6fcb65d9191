"""Benchmarks: scripts that measure, and write what they found to docs/."""
