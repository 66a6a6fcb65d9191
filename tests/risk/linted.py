"""What lint finds in a ruleset that is in no file."""

from fivefold.domain.errors import Finding
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.diagnostics import findings
from fivefold.risk.governance.lint.ruleset import Lists, ruleset_diagnostics


def lint(analysed: AnalysedRuleset, lists: Lists | None = None, *, notes: bool = False) -> list[Finding]:
    return findings(ruleset_diagnostics(analysed, lists, notes=notes), analysed.ruleset)
