"""What the product takes as data grow: `python -m benchmarks.scale`."""
