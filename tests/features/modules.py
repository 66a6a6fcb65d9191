"""Indicator modules made of text, so that a test can change their code."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

INDICATORS = '''
"""Two indicators."""

from math import nan

from fivefold.features.schema import DEPOSIT
from fivefold.features.catalogue.indicator import indicator
from fivefold.features.catalogue.statistics import ratio

_FACTOR = 2.0


@indicator("doubled_{window}", unit="count", empty=0.0, windows=(30, None), family="volume")
def doubled(kind, first_row):
    """Twice the number of events {window}."""
    return _FACTOR * (len(kind) - first_row)


@indicator("deposit_share_{percent}", unit="share", empty=nan, variants=({"percent": 50},), family="volume")
def deposit_share(kind, percent):
    """Share of deposits."""
    count = 0
    for i in range(len(kind)):
        if kind[i] == DEPOSIT:
            count += 1
    return ratio(float(count), float(len(kind)))
'''


def load(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "made_of_text") -> ModuleType:
    """Import *text* as the module *name*, in place of an earlier one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module
