"""Golden files: every line of NAME.txt is an input, as JSON, and what is said of it."""

import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

ARROW = " → "
FOLDER = Path(__file__).parent


def compare(name: str, say: Callable[[Any], str]) -> None:
    """Compare what *say* gives for every input of a file with what stands beside it there.

    With FIVEFOLD_GOLDEN=write in the environment the file is written anew: add a line with an input alone, or change
    a message, run the test so, and read the difference.
    """
    path = FOLDER / f"{name}.txt"
    before = path.read_text(encoding="utf-8")
    inputs = [line.partition(ARROW)[0] for line in before.splitlines()]
    after = "".join(f"{each}{ARROW}{say(json.loads(each, parse_float=Decimal))}\n" for each in inputs)
    if os.environ.get("FIVEFOLD_GOLDEN") == "write":
        path.write_text(after, encoding="utf-8")
    assert after.splitlines() == before.splitlines()
