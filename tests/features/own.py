"""The own indicators that tests share: those of the page that explains them."""

import re
from pathlib import Path

from fivefold.features.catalogue.own import OwnIndicators

PAGE = Path(__file__).parents[2] / "docs" / "own-indicators.md"


def example() -> OwnIndicators:
    """Give the example of docs/own-indicators.md, word by word."""
    (text,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return OwnIndicators("own_indicators.py", text)


def changed(old: str, new: str) -> OwnIndicators:
    """Give the example with one place of it changed."""
    text = example().text
    assert text.count(old) == 1, old
    return OwnIndicators("own_indicators.py", text.replace(old, new))


HEAD = """
import math
from math import nan
import numpy as np
from fivefold.features.own_indicators import DEPOSIT, indicator, ratio
"""


def one(body: str, arguments: str = "amount", unit: str = "money", empty: str = "0.0", head: str = "") -> OwnIndicators:
    """Give a file with one indicator, `mine`, of a body in one line or more."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    text = (
        f"{HEAD}{head}\n@indicator('mine', label='Mine', unit={unit!r}, empty={empty}, family='volume')\n"
        f"def mine({arguments}):\n    '''Mine.'''\n{lines}\n"
    )
    return OwnIndicators("bank.py", text)
