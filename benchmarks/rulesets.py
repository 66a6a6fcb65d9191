"""Rulesets judged on confirmed cases: tuned on one half of the entities, judged on the other, in seeded splits.

`python benchmarks/rulesets.py amlgentex --data <folder of data sets>` prints the tables of docs/results-rules.md;
`berka` does the same for loans. With `--tune` the ruleset's file gets the points and thresholds of the first split.
"""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more threads than that wait for one another in small sums
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # this script's own folder hides packages
    from benchmarks.rulesets_page import main

    main()
