"""Rulesets as workers get them: as text, since what was analysed cannot be pickled."""

from dataclasses import dataclass
from functools import lru_cache

from fivefold.risk.compiler.analysis import AnalysedRuleset, analyse_text
from fivefold.usecases.portfolio_files.bundled import ruleset_text


@dataclass(frozen=True)
class RulesetText:
    """A ruleset that can be pickled.

    Attributes:
        text: of its file.
        source: a file, or the name of one that ships.
    """

    text: str
    source: str

    @classmethod
    def read(cls, source: str) -> "RulesetText":
        """Read it; InvalidRulesetError where there is none."""
        return cls(ruleset_text(source), source)

    def analysed(self) -> AnalysedRuleset:
        """Analyse it, once in a process; InvalidRulesetError names everything that is wrong with it."""
        return _analysed(self.text, self.source)


@lru_cache(maxsize=8)
def _analysed(text: str, source: str) -> AnalysedRuleset:
    return analyse_text(text, source)
