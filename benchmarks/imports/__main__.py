"""Two whole banks into the platform: imported, a ruleset activated by two people, everybody assessed.

`python -m benchmarks.imports --data ../shared/data --write docs/results-platform.md` does it on SQLite and on a
PostgreSQL of its own, step by step as a user would, each step a process of its own, and writes the page.
"""

from benchmarks.imports.run import main

if __name__ == "__main__":
    main()
