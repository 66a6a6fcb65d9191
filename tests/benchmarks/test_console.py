"""The benchmark of the console asks pages that answer, of a portfolio that has levels."""

import asyncio
from argparse import Namespace
from pathlib import Path

import pytest

from benchmarks import console

pytestmark = pytest.mark.full


def test_each_page_is_measured_beside_its_use_cases(tmp_path: Path) -> None:
    given = Namespace(customers=20, transactions=200, keep=tmp_path)
    with console.portfolio("sqlite", given) as (engine, watcher):
        timings = asyncio.run(console.measure(console.site_of(engine, watcher), 20, 2))
    measured = {timing.path: timing for timing in timings}
    assert {"/console/queue", "/console/search", "/console/portfolio"} <= set(measured)
    assert "/console/assessments/{assessment}" in measured
    assert all(len(timing.whole) == len(timing.handler) == 2 and timing.statements for timing in timings)
    assert "| `/console/queue` |" in console.table(timings)


def test_a_portfolio_that_was_kept_is_not_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = Namespace(customers=2, transactions=10, keep=tmp_path)
    built: list[int] = []
    monkeypatch.setattr(console, "fill", lambda _engine, _watcher, customers, _transactions: built.append(customers))
    beside: list[str] = []
    monkeypatch.setattr(console.beside, "add_beside", lambda _engine, actor: beside.append(actor.name))
    for _ in range(2):
        with console.portfolio("sqlite", given):
            pass
    assert built == [2]
    assert beside == ["cli:benchmark"]
