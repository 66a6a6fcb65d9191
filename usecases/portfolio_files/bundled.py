"""Rulesets, groups and lists: those that ship with fivefold, and a user's own files."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.domain.files import kind_of
from fivefold.domain.text import hidden_in, perhaps
from fivefold.flows.groups.analysis import AnalysedGroup, lint_group
from fivefold.flows.groups.language import Group, read_group
from fivefold.risk.facts.portfolio import NamedList, read_list
from fivefold.risk.language.documents import Document
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.reading import read_document, read_ruleset
from fivefold.risk.language.ruleset import Ruleset

if TYPE_CHECKING:
    from fivefold.risk.compiler.analysis import AnalysedRuleset
    from fivefold.risk.compiler.diagnostics import Diagnostic


SUFFIXES = (".yaml", ".yml", ".json")
"""The suffixes of files of rulesets and lists."""


class _Readable(Protocol):
    """A file on disk, or one inside an installed package."""

    @property
    def name(self) -> str: ...

    def read_bytes(self) -> bytes: ...


def bundled_rulesets() -> tuple[str, ...]:
    """Return the names of the rulesets that ship.

    >>> bundled_rulesets()
    ('eu-bank-weighted', 'fatf-retail', 'session-verification', 'transaction-monitoring')
    """
    return tuple(sorted(Path(file.name).stem for file in _bundled_files("rulesets")))


def bundled_ruleset(name: str) -> Ruleset:
    """Read a ruleset that ships; ConfigError if none has that name.

    >>> bundled_ruleset("fatf-retail").levels
    ('low', 'medium', 'high', 'critical')
    """
    return read_ruleset(bundled_text(name), name)


def bundled_text(name: str) -> str:
    """Return the text of a ruleset that ships; ConfigError if none has that name."""
    if name not in bundled_rulesets():
        names = bundled_rulesets()
        raise ConfigError(f"no ruleset named {name} ships; there are {', '.join(names)}{perhaps(name, names)}")
    return (files("fivefold.risk") / "rulesets" / f"{name}.yaml").read_text("utf-8")


def ruleset_text(source: str) -> str:
    """Read the text of a ruleset's file, or of one that ships; ConfigError if *source* is neither.

    InvalidRulesetError names the line that is not UTF-8.
    """
    path = Path(source)
    if source in bundled_rulesets() and not path.exists():
        return bundled_text(source)
    if not path.is_file():
        names = bundled_rulesets()
        near = perhaps(source, names)
        raise ConfigError(f"{source} is neither a file nor a bundled ruleset ({', '.join(names)}){near}")
    return text_of(path, source)


def load_ruleset(source: str) -> "AnalysedRuleset":
    """Read a ruleset; InvalidRulesetError names everything that is wrong with it."""
    from fivefold.risk.compiler.analysis import analyse_text  # noqa: PLC0415 (imports Polars and the indicators)

    return analyse_text(ruleset_text(source), source)


def lint_file(source: str, lists: Mapping[str, NamedList], *, notes: bool) -> list[tuple["Diagnostic", Finding]]:
    """Lint the file of a ruleset, or of a policy, which begins with that word.

    A file that is missing or not text is a finding like others, so that other files are linted too.
    """
    from fivefold.risk.governance.lint.policy import lint_policy_document  # noqa: PLC0415 (imports Polars)
    from fivefold.risk.governance.lint.ruleset import lint_document, unread  # noqa: PLC0415 (as above)

    try:
        document = Document(ruleset_text(source))
    except (ConfigError, InvalidRulesetError) as error:
        return unread(error)
    words = document.data if isinstance(document.data, dict) else {}
    if Policy.word in words and Ruleset.word not in words:
        return lint_policy_document(document, lists, notes=notes)
    return lint_document(document, lists, notes=notes)[1]


def bundled_lists() -> dict[str, NamedList]:
    """Read the lists that ship, by name.

    >>> len(bundled_lists()["eea"].versions[-1].members)
    30
    """
    return _by_name(_bundled_files("lists"))


def lists_with(folder: Path | None, others: Sequence[Path] = ()) -> Mapping[str, NamedList]:
    """Read the lists that ship and those of a folder; a list of the folder replaces a shipped one entirely.

    Every file of the folder that ends in one of `SUFFIXES` must be a list, which has its name inside. *others* are
    further files of lists.

    Raises:
        ConfigError: the folder does not exist or has no list.
        InvalidRulesetError: a file is not in UTF-8 or not a list, or two of the folder's files have the same list.
    """
    named = _by_name(others)
    if folder is None:
        return {**bundled_lists(), **named}
    if not folder.is_dir():
        raise ConfigError(f"{folder} must be a folder of lists")
    own = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not own:
        raise ConfigError(f"{folder} has no list; one is a file that ends in {', '.join(SUFFIXES)}")
    return {**bundled_lists(), **_by_name(own), **named}


def _bundled_files(folder: str) -> Iterable[_Readable]:
    return (file for file in (files("fivefold.risk") / folder).iterdir() if file.name.endswith(".yaml"))


def _by_name(files_: Iterable[_Readable]) -> dict[str, NamedList]:
    lists: dict[str, NamedList] = {}
    sources: dict[str, str] = {}
    for file in files_:
        list_ = read_list(text_of(file, file.name), file.name)
        if list_.name in lists:
            problem = f"is in {sources[list_.name]} as well; a list is one file, with all of its versions"
            raise InvalidRulesetError([Finding(f"list {list_.name}", problem)], file.name)
        _refuse_hidden(list_, file.name)
        lists[list_.name], sources[list_.name] = list_, file.name
    return lists


def _refuse_hidden(list_: NamedList, source: str) -> None:
    """Raise InvalidRulesetError if members have invisible characters: texts are compared exactly; none would match."""
    members = {member: None for version in list_.versions for member in version.members}
    problems = [
        Finding(f"list {list_.name}", f"{member[:40]!a} is a member with {hidden}; it must have none")
        for member in members
        if (hidden := hidden_in(member))
    ]
    if problems:
        raise InvalidRulesetError(problems, source)


def text_of(file: _Readable, source: str) -> str:
    """Read a document; InvalidRulesetError names the line that is not UTF-8."""
    content = file.read_bytes()
    try:
        return content.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        kind = kind_of(content)
        what = f"it is {kind}, and a ruleset or a list is " if kind else "save it as UTF-8 in the editor that wrote it"
        problem = f"is not text in UTF-8; {what}{'YAML or JSON in UTF-8' if kind else ''}"
        line = None if kind else content[: error.start].count(b"\n") + 1
        raise InvalidRulesetError([Finding("the text", problem, line)], source) from None


def bundled_groups() -> tuple[str, ...]:
    """Return the names of the groups that ship.

    >>> bundled_groups()
    ('valuable-and-quiet', 'watched-closely')
    """
    folder = files("fivefold.flows.groups") / "shipped"
    return tuple(sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml")))


def group_text(source: str) -> str:
    """Read the text of a group's file, or of one that ships; ConfigError if *source* is neither."""
    path = Path(source)
    if source in bundled_groups() and not path.exists():
        return (files("fivefold.flows.groups") / "shipped" / f"{source}.yaml").read_text("utf-8")
    if not path.is_file():
        names = bundled_groups()
        near = perhaps(source, names)
        raise ConfigError(f"{source} is neither a file nor a bundled group ({', '.join(names)}){near}")
    return text_of(path, source)


def load_group(source: str) -> AnalysedGroup:
    """Read a group; InvalidRulesetError if it has faults, ConfigError if *source* names none."""
    return AnalysedGroup(read_group(group_text(source), source))


def lint_group_file(source: str, lists: Mapping[str, NamedList]) -> list[Finding]:
    """Find what is wrong or doubtful in a group's file, or in one that ships; a missing file is a finding."""
    from fivefold.risk.governance.lint.ruleset import unread  # noqa: PLC0415 (imports Polars)

    try:
        document = Document(group_text(source), source)
        return lint_group(AnalysedGroup(read_document(Group, document, source)), lists, document)
    except (ConfigError, InvalidRulesetError) as error:
        return [finding for _, finding in unread(error)]
