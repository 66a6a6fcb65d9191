"""Whom the entities of each part are linked to: their rows go to that part too, as they may belong to another one.

Workers follow the links, each from the entities of its part, as one process follows them from all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl
import pyarrow as pa

from fivefold.features.partitions import Engine, Result
from fivefold.risk.facts.groups.links import Links
from fivefold.risk.facts.inputs import Needs
from fivefold.risk.facts.portfolio import ENTITY
from fivefold.risk.language.expressions import Linked, LinkedGroup
from fivefold.risk.language.ruleset import LinkType
from fivefold.usecases.portfolio_files.by_parts.rulesets import RulesetText


@dataclass(frozen=True)
class SharedLinks:
    """Links in a file that workers share, and the groups that rulesets make of them; it can be pickled.

    Attributes:
        file: of all links.
        rulesets: that follow them.
        as_of: the moment, microseconds.
    """

    file: Path
    rulesets: Sequence[RulesetText]
    as_of: int

    @classmethod
    def of(cls, links: Links | None, folder: Path, rulesets: Sequence[RulesetText], as_of: int) -> "SharedLinks | None":
        """Write the links to the folder; None where no ruleset follows any."""
        if links is None or not _groups(rulesets):
            return None
        links.frame.write_ipc(folder / "links.arrow", compression="uncompressed")
        return cls(folder / "links.arrow", rulesets, as_of)

    def load(self) -> Links:
        """Read them, once in a process."""
        return _links(self.file)

    def members(self, entities: Sequence[str]) -> list[str]:
        """List the others to whom entities are linked, in alphabetical order."""
        links = self.load()
        members = {
            member
            for group, declared in _groups(self.rulesets)
            for entity in entities
            for member in links.neighbourhood(entity, self.as_of, group, declared).members
        }
        return sorted(members.difference(entities))


@lru_cache(maxsize=1)
def _links(file: Path) -> Links:
    return Links(pl.scan_ipc(file, glob=False).collect())


def _groups(rulesets: Sequence[RulesetText]) -> list[tuple[LinkedGroup, LinkType]]:
    """List the groups that rulesets read, with how their links are declared."""
    groups = []
    for analysed in (each.analysed() for each in rulesets):
        linked = [each.linked for each in Needs.of(analysed).everything() if isinstance(each, Linked)]
        groups += [(group, analysed.definition.links[group.by]) for group in linked]
    return groups


def find_members(engine: Engine, links: SharedLinks, names: Sequence[pl.Series]) -> list[pl.Series]:
    """Give for each part the others to whom its entities are linked, known or not.

    Args:
        engine: whose workers follow the links.
        links: all of them.
        names: of the entities of each part.
    """
    files = []
    for number, entities in enumerate(names):
        files.append(engine.folder / f"names-{number}.arrow")
        entities.to_frame(ENTITY).write_ipc(files[-1])
    return [
        pl.Series(ENTITY, table[ENTITY], dtype=pl.String) for table, _ in engine.run_each(files, _FindMembers(links))
    ]


@dataclass(frozen=True)
class _FindMembers:
    """Follows the links of a part: work of `features.partitions.Engine.run_each`."""

    links: SharedLinks

    def __call__(self, file: Path) -> Iterator[Result]:
        entities = pl.scan_ipc(file, glob=False).collect()[ENTITY].to_list()
        yield Result(pa.table({ENTITY: pa.array(self.links.members(entities), pa.large_string())}), b"")
