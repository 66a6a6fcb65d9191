"""How much of everything the tests try: quickly, all of it, or examples without end."""

import os

DEPTH = os.environ.get("FIVEFOLD_TESTS", "quick")
"""quick: `make test`. full: everything on both databases and more examples, in CI. soak: examples without end."""


def examples(full: int) -> int:
    """Give how many examples a property with a number of its own tries: in `make test` a fifth, six at least."""
    return min(full, max(6, full // 5)) if DEPTH == "quick" else full
