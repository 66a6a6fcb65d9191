"""Make a reference portfolio from files: the numbers of peers, as a new version of a list."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
from filelock import FileLock

from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.domain.files import replacing
from fivefold.domain.text import count_text
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.engine.assess import assess
from fivefold.risk.engine.assessments import STATUS, Assessments, Status
from fivefold.risk.engine.explain.describe import input_words
from fivefold.risk.facts.peers import (
    FEWEST_PEERS,
    BuiltFor,
    Reference,
    made_reference,
    other_peers,
    peers_in,
    read_reference,
)
from fivefold.risk.facts.portfolio import ListVersion, NamedList, Portfolio, error_of, read_list
from fivefold.risk.governance.beside import Beside, assess_decided
from fivefold.risk.language.base import canonical_form
from fivefold.risk.language.expressions import input_key
from fivefold.risk.language.peers import Peers, TimesPeerMedian
from fivefold.risk.language.purposes import Purpose
from fivefold.usecases.portfolio_files.portfolio import PortfolioFiles, read_with_warnings

NOT_PEERS = (Status.NOT_APPLICABLE.value, Status.UNDETERMINED.value)
"""Statuses of entities that are not peers: the ruleset does not apply, or perhaps does not."""
MOST_REASONS = 3
"""Most reasons that one message gives for numbers that could not be read."""


@dataclass(frozen=True, kw_only=True)
class PeerNumbersLine:
    """The counts of peers for one number.

    Attributes:
        number: the number in words.
        among: how the peers are grouped, in words.
        groups: how many groups have enough peers.
        small: how many groups have too few peers.
        count: how many peers have the number and belong to a group.
        unknown: for how many peers the number or the group is unknown.
        unreadable: for how many peers the number or the group could not be read.
        reasons: why it could not, the most frequent first.
    """

    number: str
    among: str
    groups: int
    small: int
    count: int
    unknown: int
    unreadable: int
    reasons: tuple[str, ...]

    def caution(self, as_of: int) -> str | None:
        """Return a sentence on how many could not be read as of a moment, and why; None if all could."""
        if not self.unreadable:
            return None
        peers = self.count + self.unknown + self.unreadable
        more = len(self.reasons) - MOST_REASONS
        reasons = "; ".join(
            [*self.reasons[:MOST_REASONS], *([f"and {count_text(more, 'more reason')}"] if more > 0 else [])]
        )
        return (
            f"{self.number} among {self.among}: {self.unreadable:,} of {peers:,} could not be read as of"
            f" {day_text(as_of)}, so places among the others may be wrong: {reasons}"
        )


@dataclass(frozen=True, kw_only=True)
class MadeReference:
    """A reference portfolio, and the list that has it as its newest version.

    Attributes:
        reference: the numbers.
        named_list: the list with the new version alone; once written, with all versions of the file.
        entities: how many entities it was made from.
        lines: the counts of peers for each number.
        cautions: which entities were left out, and which medians are unknown.
        is_added: whether the file had no such version before.
        content_hash: SHA-256 of the newest version's members, in hexadecimal.
    """

    reference: Reference
    named_list: NamedList
    entities: int
    lines: tuple[PeerNumbersLine, ...]
    cautions: tuple[str, ...]
    is_added: bool = True

    @property
    def content_hash(self) -> str:
        """The hash of the newest version's members."""
        return reference_hash(self.named_list.versions[-1].members)

    @property
    def unread_cautions(self) -> tuple[str, ...]:
        """Cautions on numbers that could not be read: for how many peers, and why."""
        return unread_cautions(self.lines, self.reference.as_of)


def unread_cautions(lines: Iterable[PeerNumbersLine], as_of: int) -> tuple[str, ...]:
    """Return cautions on numbers that could not be read as of a moment: for how many peers, and why."""
    return tuple(filter(None, (line.caution(as_of) for line in lines)))


def number_lines(reference: Reference, wanted: Sequence[Peers], numbers: pl.DataFrame) -> tuple[PeerNumbersLine, ...]:
    """Count the peers for each number of a reference portfolio; *numbers* is a frame of `peer_numbers`."""
    return tuple(_number_line(reference.counts(peers), peers, numbers) for peers in wanted)


def _number_line(counts: Sequence[int], peers: Peers, numbers: pl.DataFrame) -> PeerNumbersLine:
    keys = [input_key(each) for each in (peers.of, peers.group) if each is not None]
    reasons = numbers.select(pl.coalesce([error_of(key) for key in keys])).to_series().drop_nulls()
    in_order = reasons.value_counts().sort("count", reasons.name, descending=[True, False])
    count = sum(counts)
    return PeerNumbersLine(
        number=input_words(peers.of),
        among="everyone" if peers.group is None else input_words(peers.group),
        groups=sum(count >= FEWEST_PEERS for count in counts),
        small=sum(count < FEWEST_PEERS for count in counts),
        count=count,
        unknown=len(numbers) - count - len(reasons),
        unreadable=len(reasons),
        reasons=tuple(in_order[reasons.name]),
    )


def reference_hash(members: tuple[str, ...]) -> str:
    """Return the SHA-256 of the lines of a reference portfolio, in hexadecimal."""
    return hashlib.sha256("\n".join(members).encode()).hexdigest()


def make_reference(
    ruleset: AnalysedRuleset, files: PortfolioFiles, as_of: int, before: Path | None, beside: Beside
) -> MadeReference:
    """Make the reference portfolio of a ruleset from files, of the entities that it decides on.

    Args:
        ruleset: defines the peers, the entities it applies to, and the name of the list.
        files: the portfolio.
        as_of: the moment of the numbers, from which the version is in force (microseconds).
        before: a file with the earlier versions, which is checked first; None for the first version.
        beside: the rulesets that decide beside it.

    Raises:
        InvalidRulesetError: the ruleset reads no peers, or cannot be used.
        ConfigError: the file *before* is not a reference portfolio of that name, has peers of another ruleset, or a
            version later than this one.
    """
    ruleset.require_usable()
    name = ruleset.definition.reference
    if name is None or not ruleset.peer_inputs:
        raise InvalidRulesetError([Finding("the ruleset", "places nothing among peers")], ruleset.definition.name)
    if before is not None:
        _earlier(before, ruleset, as_of)
    others = {each: named for each, named in files.lists.items() if each != name}
    portfolio = read_with_warnings(replace(files, lists=others), beside.around(ruleset), as_of)
    wanted = peers_wanted(ruleset)
    decided = assess_decided(ruleset, beside, _with_empty_references(ruleset, portfolio), as_of)
    numbers = _numbers_in(decided.assessments, wanted)
    reference = made_reference(wanted, numbers, as_of, portfolio.rates.base, BuiltFor.of(ruleset.ruleset))
    count = len(numbers)
    version = ListVersion(since=as_of, members=reference.lines())
    day = day_text(as_of)
    reference_list = NamedList(
        name=name,
        title=f"Peers for {ruleset.definition.name}",
        source=f"{count:,} of type {ruleset.definition.entity_type} as of {day}",
        purpose=purpose_of(ruleset),
        versions=(version,),
    )
    cautions = (*decided.cautions(), *median_cautions(ruleset, reference))
    return MadeReference(
        reference=reference,
        named_list=reference_list,
        entities=count,
        lines=number_lines(reference, wanted, numbers),
        cautions=cautions,
    )


def median_cautions(ruleset: AnalysedRuleset, reference: Reference) -> tuple[str, ...]:
    """Return a caution for each group whose median is not above 0: the number over that median is unknown for all."""
    inputs = [each for each in ruleset.peer_inputs if isinstance(each, TimesPeerMedian)]
    peers_by_form = {canonical_form(each): each.times_peer_median for each in inputs}
    return tuple(
        f"{input_words(peers.of)} over the peers' median is unknown for everyone{_whose(peers, group)}: the median is "
        "not above 0"
        for peers in peers_by_form.values()
        for group in reference.without_median(peers)
    )


def _whose(peers: Peers, group: str | None) -> str:
    return "" if group is None else f" in {input_words(peers.group)} {group}"


def peers_wanted(ruleset: AnalysedRuleset) -> tuple[Peers, ...]:
    """Return the numbers that a ruleset places among peers with their grouping, each once."""
    return tuple({canonical_form(peers_in(each)): peers_in(each) for each in ruleset.peer_inputs}.values())


def peer_numbers(ruleset: AnalysedRuleset, wanted: Sequence[Peers], portfolio: Portfolio, as_of: int) -> pl.DataFrame:
    """Return the numbers of all entities to which a ruleset applies: a row each, a column for each number and group.

    Numbers are 64-bit floats and groups text, null where unknown or unreadable; the column `error_of` each has the
    reason. Frames of the parts of a portfolio can be concatenated.
    """
    return _numbers_in(assess(ruleset, _with_empty_references(ruleset, portfolio), as_of), wanted)


def _with_empty_references(ruleset: AnalysedRuleset, portfolio: Portfolio) -> Portfolio:
    """Add an empty list for each reference that a ruleset reads, as it is not made yet."""
    empty = {
        name: NamedList(name=name, title=name, source=name, versions=(ListVersion(since=0, members=()),))
        for name in ruleset.references
    }
    return replace(portfolio, lists={**portfolio.lists, **empty})


def _numbers_in(assessments: Assessments, wanted: Sequence[Peers]) -> pl.DataFrame:
    inputs = assessments.inputs.filter(~assessments.outcomes[STATUS].is_in(NOT_PEERS))
    numbers = {input_key(peers.of): pl.Float64() for peers in wanted}
    groups = {input_key(peers.group): pl.String() for peers in wanted if peers.group is not None}
    kinds = {**groups, **numbers}
    errors = {
        key: pl.col(error_of(key)) if error_of(key) in inputs.columns else pl.lit(None, pl.String) for key in kinds
    }
    return inputs.select(
        *(pl.when(errors[key].is_null()).then(key).cast(kind).alias(key) for key, kind in kinds.items()),
        *(error.alias(error_of(key)) for key, error in errors.items()),
    )


def purpose_of(ruleset: AnalysedRuleset) -> Purpose | None:
    """Return the purpose of the list of a ruleset's peers; None for the default of lists, aml."""
    return None if ruleset.definition.purpose == "aml" else ruleset.definition.purpose


def _earlier(path: Path, ruleset: AnalysedRuleset, as_of: int) -> NamedList:
    """Read the earlier versions; ConfigError if the new one cannot follow them."""
    earlier = read_list(path.read_text(encoding="utf-8"), str(path))
    last, name = earlier.versions[-1], ruleset.definition.reference
    if earlier.name != name or read_reference(last.members) is None:
        raise ConfigError(f"{path} has the list {earlier.name}, which is not a reference portfolio called {name}")
    if wrong := other_peers(last.members, ruleset.definition):
        own = f"write those of {ruleset.definition.name} to a file of their own"
        raise ConfigError(f"{path} has the list {name}, and {wrong}; {own}")
    if last.since > as_of:
        raise _not_later(path, last)
    return earlier


def _not_later(path: Path, last: ListVersion) -> ConfigError:
    return ConfigError(
        f"{path} has a version since {day_text(last.since)}; another one must be of a later moment. For one of an "
        "earlier moment write a new file, the earliest moment first"
    )


def write_reference(new_reference: MadeReference, ruleset: AnalysedRuleset, path: Path) -> MadeReference:
    """Add the version to a list's file as the file is now, atomically: another process may have added a version.

    Returns:
        The reference portfolio with all versions of the file, which is not written if it has this version already.

    Raises:
        ConfigError: as `make_reference`, or the last version is of the same moment and has other numbers.
    """
    version = new_reference.named_list.versions[-1]
    with _locked(path):
        earlier = _earlier(path, ruleset, version.since) if path.exists() else None
        if earlier is not None and (last := earlier.versions[-1]).since == version.since:
            if last.members != version.members:
                raise _not_later(path, last)
            return replace(new_reference, named_list=earlier, is_added=False)
        versions = () if earlier is None else earlier.versions
        named_list = new_reference.named_list.model_copy(update={"versions": (*versions, version)})
        content = named_list.model_dump(mode="json", by_alias=True, exclude_none=True)
        with replacing(path) as unfinished:
            unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return replace(new_reference, named_list=named_list)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Make other processes that add a version to the file wait; the lock file beside it is deleted at the end."""
    lock = path.with_name(f".{path.name}.lock")
    with FileLock(lock):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # filelock notices, and processes that wait make a new lock file
