"""Writes a proposal of points as a draft: the same text with other points, each change explained above its line."""

from collections.abc import Mapping, Sequence

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import count_text, percent
from fivefold.risk.engine.program import Program
from fivefold.risk.governance.drafts import NOTHING_IN_FORCE, with_numbers, with_reasons, without_reasons
from fivefold.risk.governance.points.outcomes import place_of, written_outcomes
from fivefold.risk.governance.points.propose import DraftVerdict, PointChange, PointsProposal
from fivefold.risk.governance.validate.ranking import Paired
from fivefold.risk.governance.validate.verdicts import interval_words
from fivefold.risk.language.documents import Path
from fivefold.risk.language.quantities import POINT_UNITS, point_units, text_of
from fivefold.risk.language.reading import read_ruleset
from fivefold.risk.language.ruleset import PointsScore, Ruleset

FIRST = f"A DRAFT with proposed points. {NOTHING_IN_FORCE}"


def draft_text(text: str, program: Program, draft: Ruleset, proposal: PointsProposal) -> str:
    """Write the draft.

    Args:
        text: the present ruleset as YAML or JSON.
        program: the present ruleset, compiled.
        draft: the changed ruleset.
        proposal: the proposal.

    Raises:
        ConfigError: the text cannot be changed without further changes.
    """
    remarks = {place_of(program, _slot(program, change)): remark(change) for change in proposal.changes}
    return with_reasons(with_new_numbers(text, program, draft, remarks), FIRST, reasons(proposal))


def reasons(proposal: PointsProposal) -> list[str]:
    """Return the verdict and its basis, line by line, for the top of the file."""
    verdict = proposal.verdict
    return [
        ("RECOMMENDED for review: " if verdict.recommended else "NOT RECOMMENDED: ") + verdict.because + ".",
        f"Made from {proposal.ruleset} {proposal.content_hash}; seed {proposal.seed}.",
        _who(proposal),
        f"Gini of the total: {_beside(verdict.total)}.",
        f"Gini of the level: {_beside(verdict.level)}.",
        _captures(verdict),
        *(
            f"{cut.level} would begin at {cut.proposed} (now {cut.present}), so that the levels hold what they hold now"
            for cut in proposal.cuts
            if cut.proposed != cut.present
        ),
        f"{count_text(len(proposal.changes), 'outcome')} would give other points; each is explained above its line.",
        *proposal.cautions,
    ]


def _who(proposal: PointsProposal) -> str:
    learnt = f"{count_text(proposal.learnt_from, 'customer')}, {proposal.learnt_confirmed} of them confirmed"
    judged = f"{proposal.verdict.judged} others, {proposal.verdict.confirmed} of them confirmed"
    return f"Learnt from {learnt}, as of {proposal.learnt_as_of}; judged by {judged}, as of {proposal.as_of}."


def _captures(verdict: DraftVerdict) -> str:
    then, now = (
        f"{interval_words(side.captured, percent=True)} of the confirmed with {percent(side.top_share)} of the judged"
        for side in (verdict.capture, verdict.present_capture)
    )
    return f"{' and '.join(verdict.capture.top)} would hold {then}; they hold {now}."


def _beside(paired: Paired) -> str:
    difference = interval_words(paired.difference, beside=(0,))
    return f"{paired.first:.3f}, now {paired.second:.3f}, difference {difference}"


def remark(change: PointChange) -> str:
    """Explain one change: its points, the entities it is based on, and its effect on the capture."""
    which = f"case {change.outcome}" if isinstance(change.outcome, int) else change.outcome
    support = f"{change.confirmed} of {count_text(change.entities, 'customer')} who got it confirmed"
    effect = f"capture {100 * change.capture:+z.1f} percentage points" if change.capture else "capture as without it"
    return f"{which}: {change.before} -> {change.after} points ({change.source}; {support}; {effect})"


def _slot(program: Program, change: PointChange) -> tuple[str, int]:
    rule = next(each for each in program.rules if each.rule.id == change.rule)
    if isinstance(change.outcome, int):
        return change.rule, change.outcome - 1
    return change.rule, rule.otherwise if change.outcome == "otherwise" else rule.unknown


def with_new_numbers(text: str, program: Program, draft: Ruleset, remarks: Mapping[Path, str]) -> str:
    """Put the points and thresholds of a ruleset into the text of one with the same rules, with remarks above them.

    Raises:
        ConfigError: the text is not of a ruleset with these rules, or the result would not be exactly the draft.
    """
    numbers: dict[Path, str] = {}
    for rule, new in zip(program.rules, draft.rules, strict=True):
        after: Sequence[object] = (*new.cases, new.otherwise, new.on_unknown)
        for slot, outcome in written_outcomes(rule):
            points = getattr(after[slot], "points", None)
            if points is not None and points != outcome.points:
                numbers[place_of(program, (rule.rule.id, slot))] = text_of(point_units(points), POINT_UNITS)
    now, then = program.ruleset.score, draft.score
    assert isinstance(now, PointsScore)
    assert isinstance(then, PointsScore)
    cuts = zip(now.points.thresholds, then.points.thresholds, strict=True)
    for number, (old, cut) in enumerate(cuts):
        if old != cut:
            numbers["score", "points", "thresholds", number] = text_of(point_units(cut), POINT_UNITS)
    changed = with_numbers(without_reasons(text), numbers, remarks)
    if read_ruleset(changed, "the draft").content_hash != draft.content_hash:
        raise ConfigError("the points cannot be changed in this text without changing more; change them by hand")
    return changed
