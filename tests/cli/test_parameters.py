"""Which parameters of commands are files that they write: `cli.parameters` knows them by their names."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fivefold.cli.lazy import LazyCommands
from fivefold.cli.parameters import OUTPUTS, SHARED

WORDS = ("rules", "flows", "groups", "validate", "evidence", "audit", "challenge", "statement", "import")
"""Whose commands have the places of their files checked."""


def files_of(command: Any) -> Iterator[Any]:
    """Give every parameter of a command, and of those under it, that is a path."""
    for each in getattr(command, "commands", {}).values():
        yield from files_of(each)
    yield from (each for each in command.params if each.type_descriptor.annotation is Path)


@pytest.mark.parametrize("word", WORDS)
def test_what_is_said_to_be_written_is_an_output(word: str) -> None:
    files = list(files_of(LazyCommands()[word]))
    said = {each.name for each in files if re.search(r"\b(write|written|overwritten)\b", each.help or "")}
    assert said <= {*OUTPUTS}


def test_each_name_is_that_of_a_parameter() -> None:
    names = {each.name for word in WORDS for each in files_of(LazyCommands()[word])}
    assert {*OUTPUTS, SHARED} <= names
