"""Rules, side by side: the engine, the same expressions written by hand in Polars, and GoRules' zen-engine.

`python benchmarks/rules.py --write docs/benchmarks-rules.md` measures everything and writes the page. All three give
the same outputs - the case of every rule, its points, the total - which are compared before anything is measured.
Aggregates over transactions are measured against DuckDB in the same run.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # this script's own folder hides packages
    from benchmarks.rules_run import main

    main()
