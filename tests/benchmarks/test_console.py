"""The benchmark of the console asks pages that answer, of a portfolio that has levels."""

import asyncio

import pytest

from benchmarks import console

pytestmark = pytest.mark.full


def test_each_page_is_measured_beside_its_use_cases() -> None:
    with console.sqlite() as engine:
        timings = asyncio.run(console.measure(console.built(engine, 20, 200), 20, 2))
    measured = {timing.path: timing for timing in timings}
    assert {"/console/queue", "/console/search", "/console/portfolio"} <= set(measured)
    assert "/console/assessments/{assessment}" in measured
    assert all(len(timing.whole) == len(timing.handler) == 2 and timing.statements for timing in timings)
    assert "| `/console/queue` |" in console.table(timings)
