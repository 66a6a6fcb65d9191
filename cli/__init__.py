"""The `fivefold` command: parse, call one function, print.

Its packages have names that other projects use too, so the first thing is to see that each of them is fivefold's own:
another folder named `features` or `models` may come first on the path.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the packages."""
PACKAGES = ("domain", "charts", "features", "models", "risk", "store", "training", "usecases", "serving")


def foreign_package() -> str:
    """Name the first package that is not fivefold's own and where it is; empty where all are."""
    for name in PACKAGES:
        spec = find_spec(name)
        places = [] if spec is None else list(spec.submodule_search_locations or [spec.origin or "nowhere"])
        if places and Path(places[0]).resolve() != ROOT / name:
            return f"{places[0]} has the name of fivefold's own {name!r} and comes before it on Python's path"
    return ""


_FOREIGN = foreign_package()
if _FOREIGN:
    sys.exit(f"fivefold: {_FOREIGN}; take its folder off PYTHONPATH, or rename it")
