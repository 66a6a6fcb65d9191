"""Indicators from Parquet, side by side: the kernel, DuckDB, Polars and pandas, over the time of only reading.

`python -m benchmarks.features --write docs/benchmarks-features.md` measures everything and writes the page.
Every run is a process of its own, and the runs take turns, round after round. In the first round every engine's
values are compared with the kernel's; a difference ends the benchmark.
"""

from benchmarks.features.run import main

if __name__ == "__main__":
    main()
