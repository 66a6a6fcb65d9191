"""A number placed among those of peers, in words: the number, the share of peers below, the group and the day."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fivefold.domain.clock import day_text
from fivefold.risk.compiler.value_types import column_for, currency_of
from fivefold.risk.engine.explain.formulas import ComputedDescription, FormulaDescription
from fivefold.risk.facts.peers import FEWEST_PEERS, parts_of_peers, peers_in
from fivefold.risk.language.expressions import CalculationInput, input_key
from fivefold.risk.language.peers import PeerFact, PeerInput, PeerPercentile, Peers

Row = Mapping[str, Any]


def peer_words(rule_input: Any, named: Callable[[Any], str]) -> str:
    """Name a place among peers; *named* writes the name of the placed number."""
    peers = peers_in(rule_input)
    among = "peers" if peers.group is None else f"peers of the same {peers.group.field.replace('_', ' ')}"
    if isinstance(rule_input, PeerPercentile):
        return f"percentile of {named(peers.of)} among {among}"
    return f"{named(peers.of)} in medians of {among}"


@dataclass(frozen=True, eq=False)
class PeerDescription(ComputedDescription):
    """A place among peers, ready to be described for one entity after another."""

    placed: PeerInput

    @property
    def _peers(self) -> Peers:
        return peers_in(self.placed)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The columns that the words need."""
        return tuple(input_key(each) for each in (*parts_of_peers(self.placed), self.placed))

    @cached_property
    def later_keys(self) -> tuple[str, ...]:
        """The columns of the placed calculation's formula, if they exist: data that older programs stored lack them."""
        return () if self._formula is None else tuple(key for key in self._formula.keys if key not in self.keys)

    @cached_property
    def _formula(self) -> FormulaDescription | None:
        """The formula of the placed calculation; None if another input is placed."""
        of = self._peers.of
        if not isinstance(of, CalculationInput):
            return None
        return FormulaDescription(of, vocabulary=self.vocabulary, base=self.base, named=self.named, valued=self.valued)

    def words(self, row: Row, shown: str) -> str:
        """Write the place and its basis; *shown* is the place as shown."""
        of, count = self._peers.of, self._fact("count", row)
        if row.get(input_key(self.placed)) is None:
            return f"unknown, as {self._reason(row)}"
        if count is None:  # it was given, not looked up
            return shown
        column = column_for(of, self.vocabulary, self.base)
        value = self.valued(row.get(input_key(of)), column, currency_of(of, self.vocabulary) or self.base, ())
        formula = self._formula_in(row)
        value = value if formula is None else formula.words(row, value)
        is_position = isinstance(self.placed, PeerPercentile)
        place = f"higher than {shown} %" if is_position else f"{shown} times the median"
        reference = day_text(self._fact("as_of", row))
        return f"{shown}: {value}, {place} of {self._whom(row)} (reference {reference})"

    def _formula_in(self, row: Row) -> FormulaDescription | None:
        """Return the formula of the placed number; None if it has none, or its parts were not kept."""
        formula = self._formula
        return None if formula is None or set(formula.keys) - row.keys() else formula

    def _reason(self, row: Row) -> str:
        peers, count = self._peers, self._fact("count", row)
        if self._fact("as_of", row) is None:
            return f"there is no reference portfolio {self.vocabulary.reference} in {self.base}"
        if peers.group is not None and row.get(input_key(peers.group)) is None:
            return f"{self.named(peers.group)} is unknown"
        if row.get(input_key(peers.of)) is None:
            formula = self._formula_in(row)
            why = "" if formula is None else f", as {formula.reason(row)}"
            return f"{self.named(peers.of)} is unknown{why}"
        if count is None:
            return "the reference portfolio says nothing of it"
        if count < FEWEST_PEERS:
            return f"there are only {self._whom(row)}, and fewer than {FEWEST_PEERS} say nothing"
        return "the median of the peers is not above 0"

    def _whom(self, row: Row) -> str:
        """Write the number of peers, and their group."""
        peers, number = self._peers, int(self._fact("count", row))
        count = f"{number:,} peer{'' if number == 1 else 's'}"
        return count if peers.group is None else f"{count} in {self.named(peers.group)} {row[input_key(peers.group)]}"

    def _fact(self, fact: Any, row: Row) -> Any:
        return row.get(input_key(PeerFact(peer_fact=fact, peers=self._peers)))
