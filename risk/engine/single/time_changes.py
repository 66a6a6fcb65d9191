"""When time alone may next change what the rules say of one entity: `risk.engine.time_changes`, for its row."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fivefold.risk.compiler.plain_conditions import Row
from fivefold.risk.engine.single.rules import PlainRule, SingleProgram
from fivefold.risk.facts.moments import ANYTHING
from fivefold.risk.facts.portfolio import error_of


def next_of_row(
    single: SingleProgram, row: Row, moments: Mapping[str, int], presence_inputs: Collection[str], limit: int
) -> int | None:
    """Find the first moment at which time alone may change a rule's case.

    Args:
        single: the ruleset.
        row: the inputs.
        moments: of those that may change, when.
        presence_inputs: the inputs of which a condition asks whether they are known.
        limit: a moment from which nothing matters.

    Returns:
        The moment, in microseconds; None where nothing comes before the limit.
    """
    for moment in sorted(set(moments.values())):
        if moment >= limit:
            break
        moved = frozenset(name for name, at in moments.items() if at <= moment)
        then = {name: None if name in moved else value for name, value in row.items()}
        if _Then(single, then, moved, moved.intersection(presence_inputs)).matters():
            return moment
    return None


@dataclass(frozen=True)
class _Then:
    """An entity at a moment to come.

    Attributes:
        single: the ruleset.
        row: the inputs, unknown where they have moved.
        moved: their names.
        presence_inputs: those of them of which a condition asks whether they are known: that is never unknown itself.
    """

    single: SingleProgram
    row: Row
    moved: frozenset[str]
    presence_inputs: frozenset[str]

    def matters(self) -> bool:
        """Tell whether what has moved may change the outcome."""
        if ANYTHING in self.moved:
            return True
        program = self.single.program
        matters = not self.moved.isdisjoint(program.weights_reads) or any(map(self._is_unsettled, self.single.rules))
        if self.single.applies is None:
            return matters
        reads = self.moved.intersection(program.applies_reads)
        applies = self.single.applies(self.row)
        if reads and (applies is None or self._is_sure(reads)):
            return True
        return applies is not False and matters

    def _is_sure(self, reads: frozenset[str]) -> bool:
        """Tell whether an input has moved that could not be read, or of which it is asked whether it is known."""
        return not self.presence_inputs.isdisjoint(reads) or any(
            self.row.get(error_of(name)) is not None for name in reads
        )

    def _is_unsettled(self, rule: PlainRule) -> bool:
        reads = self.moved.intersection(rule.compiled.reads)
        if not reads:
            return False
        if rule.compiled.signal in self.moved or self._is_sure(reads):
            return True
        for condition in rule.conditions:
            holds = condition(self.row)
            if holds is None:
                return True
            if holds:
                return False
        return False
