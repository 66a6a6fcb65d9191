"""Rulesets judged on confirmed cases: tuned on one half of the entities, judged on the other, in seeded splits.

`python -m benchmarks.rulesets amlgentex --data <folder of data sets>` prints the tables of docs/results-rules.md;
`berka` does the same for loans. With `--tune` the ruleset's file gets the points and thresholds of the first split.
"""

import os

if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more threads than that wait for one another in small sums
    from benchmarks.rulesets.page import main

    main()
