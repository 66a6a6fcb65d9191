"""A test on PostgreSQL is left to full depth where a twin takes its steps on SQLite, and there alone."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import runs_at_full_depth_alone


def on_postgresql(*marks: pytest.MarkDecorator) -> Any:
    """Stand for a case on PostgreSQL of a use case's test, with these marks."""
    by_name = {each.name: each.mark for each in marks}
    return SimpleNamespace(
        nodeid="tests/usecases/test_a.py::test_one[postgresql]",
        callspec=SimpleNamespace(params={"kind": "postgresql"}),
        get_closest_marker=by_name.get,
        iter_markers=lambda name: [by_name[name]] if name in by_name else [],
    )


def test_a_twin_runs_at_full_depth_alone() -> None:
    assert runs_at_full_depth_alone(on_postgresql())
    assert runs_at_full_depth_alone(on_postgresql(pytest.mark.parametrize("kind", ["sqlite", "postgresql"])))
    assert not runs_at_full_depth_alone(on_postgresql(pytest.mark.postgresql))


def test_what_postgresql_alone_can_show_always_runs() -> None:
    assert not runs_at_full_depth_alone(on_postgresql(pytest.mark.parametrize("kind", ["postgresql"])))
    assert not runs_at_full_depth_alone(on_postgresql(pytest.mark.parametrize("kind", ["postgresql"], indirect=True)))
