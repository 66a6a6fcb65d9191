"""The platform, side by side with what it is made of: COPY, the engine, breakdowns; and how late a level is.

`python benchmarks/platform.py --write docs/benchmarks-platform.md` measures everything on a PostgreSQL of its own,
which keeps what it commits, and writes the page.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)  # this script's own folder hides packages
    from benchmarks.platform_run import main

    main()
