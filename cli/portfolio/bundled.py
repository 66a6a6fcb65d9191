"""Rulesets and lists that come with fivefold, and a folder of one's own lists."""

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.risk.facts.lists import NamedList, read_list
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import Ruleset

SUFFIXES = (".yaml", ".yml", ".json")
"""How files of rulesets and lists end."""


class _Readable(Protocol):
    """A file on disk, or one inside an installed package."""

    @property
    def name(self) -> str: ...

    def read_text(self, encoding: str) -> str: ...


def bundled_rulesets() -> tuple[str, ...]:
    """Name the rulesets that ship.

    >>> bundled_rulesets()
    ('eu-bank-weighted', 'fatf-retail', 'session-verification')
    """
    return tuple(sorted(Path(file.name).stem for file in _bundled_files("rulesets")))


def bundled_ruleset(name: str) -> Ruleset:
    """Read a ruleset that ships; ConfigError where there is none of that name.

    >>> bundled_ruleset("fatf-retail").levels
    ('low', 'medium', 'high', 'critical')
    """
    return read_ruleset(bundled_text(name), name)


def bundled_text(name: str) -> str:
    """Give the text of a ruleset that ships, to begin one's own with; ConfigError where there is none of that name."""
    if name not in bundled_rulesets():
        raise ConfigError(f"no ruleset named {name} ships; there are {', '.join(bundled_rulesets())}")
    return (files("fivefold.risk") / "rulesets" / f"{name}.yaml").read_text("utf-8")


def bundled_lists() -> dict[str, NamedList]:
    """Read the lists that ship, by name.

    >>> len(bundled_lists()["eea"].versions[-1].members)
    30
    """
    return _by_name(_bundled_files("lists"))


def lists_with(folder: Path | None) -> Mapping[str, NamedList]:
    """Read the lists that ship and those of a folder; one of the folder takes the place of a shipped one entirely.

    Every file of the folder that ends in one of `SUFFIXES` must be a list; its name is the one inside.

    Raises:
        ConfigError: there is no such folder, nothing to read in it, or a file is not in UTF-8.
        InvalidRulesetError: a file is no list, or two of the folder's files are of the same list.
    """
    if folder is None:
        return bundled_lists()
    if not folder.is_dir():
        raise ConfigError(f"{folder} must be a folder of lists")
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not found:
        raise ConfigError(f"{folder} has no list; one is a file that ends in {', '.join(SUFFIXES)}")
    return {**bundled_lists(), **_by_name(found)}


def _bundled_files(room: str) -> Iterator[_Readable]:
    return (file for file in (files("fivefold.risk") / room).iterdir() if file.name.endswith(".yaml"))


def _by_name(found: Iterator[_Readable] | list[Path]) -> dict[str, NamedList]:
    lists: dict[str, NamedList] = {}
    where: dict[str, str] = {}
    for file in found:
        read = read_list(_text(file), file.name)
        if read.name in lists:
            said = f"is in {where[read.name]} as well; a list is one file, with all of its versions"
            raise InvalidRulesetError([Finding(f"list {read.name}", said)], file.name)
        lists[read.name], where[read.name] = read, file.name
    return lists


def _text(file: _Readable) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"{file.name} is not text in UTF-8") from None
