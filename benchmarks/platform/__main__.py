"""The platform, side by side with what it is made of: COPY, the engine, codes; and how late a level is.

`python -m benchmarks.platform --write docs/benchmarks-platform.md` measures everything on a PostgreSQL of its own,
which keeps what it commits, and writes the page.
"""

from benchmarks.platform.run import main

if __name__ == "__main__":
    main()
