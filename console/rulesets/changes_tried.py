"""Changes of a text by one step, and whether its examples notice them: for the editors of rulesets and of flows."""

from collections.abc import Callable
from dataclasses import dataclass

from fivefold.console.texts import text
from fivefold.console.visit import Visit
from fivefold.domain.errors import InvalidRulesetError, NotFoundError
from fivefold.risk.governance.mutation.run import ChangeTried, MutantVerdict, Mutations


@dataclass(frozen=True, kw_only=True)
class ChangesTried:
    """Every change of the text by one step, and whether examples notice it; or why none was tried.

    Attributes:
        mutations: what became of them; None where there is a problem.
        problem: why none was tried.
        command: that tries all of them, however long that takes.
    """

    mutations: Mutations | None = None
    problem: str = ""
    command: str = ""

    @property
    def unnoticed(self) -> tuple[ChangeTried, ...]:
        """Those that no example notices."""
        return () if self.mutations is None else self.mutations.of(MutantVerdict.UNNOTICED)

    @property
    def no_effect(self) -> tuple[ChangeTried, ...]:
        """Those that no example can notice."""
        return () if self.mutations is None else self.mutations.of(MutantVerdict.NO_EFFECT)

    @property
    def noticed_percent(self) -> str:
        """The share of those that can be noticed, with one decimal."""
        return "" if self.mutations is None else f"{self.mutations.noticed_percent:.1f}"


def changes_tried(
    tries: Callable[[Visit, str], Mutations], visit: Visit, document: str, command: str
) -> ChangesTried | None:
    """Try the changes of a text where that is what was asked for; None where it is not.

    Args:
        tries: changes a text of the kind.
        visit: that asks.
        document: the text.
        command: that does the same without a limit of time.
    """
    if visit.action != "mutate":
        return None
    try:
        return ChangesTried(mutations=tries(visit, document), command=command)
    except (InvalidRulesetError, NotFoundError):
        return ChangesTried(
            problem=text("No change was tried: that takes a text without faults, and examples that all come out.")
        )
