"""Indicators from Parquet, side by side: the kernel, DuckDB, Polars and pandas, over the time of only reading.

`python benchmarks/features.py --write docs/benchmarks-features.md` measures everything and writes the page.
Every run is a process of its own, and the runs take turns, round after round. In the first round every engine's
values are compared with the kernel's; a difference ends the benchmark.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # this script's own folder hides the package `features`
    from benchmarks.feature_run import main

    main()
