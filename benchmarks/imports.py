"""Two whole banks into the platform: imported, a ruleset activated by two people, everybody assessed.

`python benchmarks/imports.py --data ../shared/data --write docs/results-platform.md` does it on SQLite and on a
PostgreSQL of its own, step by step as a user would, each step a process of its own, and writes the page.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # this script's own folder hides packages
    from benchmarks.imports_run import main

    main()
