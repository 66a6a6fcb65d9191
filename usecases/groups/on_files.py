"""Groups on files: those that ship and one's own."""

from collections.abc import Mapping
from importlib.resources import files as package_files
from pathlib import Path

from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.domain.text import perhaps
from fivefold.flows.groups.analysis import AnalysedGroup, lint_group
from fivefold.flows.groups.language import Group, read_group
from fivefold.risk.facts.portfolio import NamedList
from fivefold.risk.language.documents import Document
from fivefold.risk.language.reading import read_document
from fivefold.usecases.portfolio_files.bundled import text_of


def bundled_groups() -> tuple[str, ...]:
    """Name the groups that ship.

    >>> bundled_groups()
    ('valuable-and-quiet', 'watched-closely')
    """
    folder = package_files("fivefold.flows.groups") / "shipped"
    return tuple(sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml")))


def group_text(source: str) -> str:
    """Read the text of a group's file, or of one that ships; ConfigError where *source* is neither."""
    path = Path(source)
    if source in bundled_groups() and not path.exists():
        return (package_files("fivefold.flows.groups") / "shipped" / f"{source}.yaml").read_text("utf-8")
    if not path.is_file():
        names = bundled_groups()
        near = perhaps(source, names)
        raise ConfigError(f"{source} is neither a file nor a bundled group ({', '.join(names)}){near}")
    return text_of(path, source)


def load_group(source: str) -> AnalysedGroup:
    """Read a group; InvalidRulesetError says what is wrong with it, ConfigError where there is none."""
    return AnalysedGroup(read_group(group_text(source), source))


def lint_group_file(source: str, lists: Mapping[str, NamedList]) -> list[Finding]:
    """Find what is wrong or doubtful in a group's file, or in one that ships; ConfigError where there is none."""
    text = group_text(source)
    try:
        document = Document(text, source)
        return lint_group(AnalysedGroup(read_document(Group, document, source)), lists, document)
    except InvalidRulesetError as error:
        return list(error.findings)
