"""Rules, side by side: the engine, the same expressions written by hand in Polars, and GoRules' zen-engine.

`python -m benchmarks.rules --write docs/benchmarks-rules.md` measures everything and writes the page. All three give
the same outputs - the case of every rule, its points, the total - which are compared before anything is measured.
Aggregates over transactions are measured against DuckDB in the same run.
"""

from benchmarks.rules.run import main

if __name__ == "__main__":
    main()
