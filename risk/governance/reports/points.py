"""The page of proposed points."""

from fivefold.domain.text import percent
from fivefold.risk.governance.points.propose import ALIKE, IN_ORDER, LEARNT, DraftVerdict, PointsProposal
from fivefold.risk.governance.reports.backtest import lists_words
from fivefold.risk.governance.reports.page import ReportPage, ReportSection, ReportTable
from fivefold.risk.governance.validate.ranking import CONFIDENCE, Paired
from fivefold.risk.governance.validate.verdicts import interval_words

SHORT = {LEARNT: "", ALIKE: "alike", IN_ORDER: "too few"}


def points_page(result: PointsProposal) -> ReportPage:
    """Lay out a proposal for people: the verdict first, then every change."""
    verdict = result.verdict
    facts = [
        ("Ruleset", f"{result.ruleset} {result.content_hash}"),
        ("Learnt from", f"{result.learnt_from:,}, {result.learnt_confirmed:,} confirmed, as of {result.learnt_as_of}"),
        ("Judged by", f"{verdict.judged:,} others, {verdict.confirmed:,} confirmed, as of {result.as_of}"),
        ("Labels that became known", f"up to {result.horizon}" if result.horizon else "at any time after as-of"),
        ("Lists", lists_words(result.lists)),
        ("Penalty", f"{result.penalty:g} on {result.held_back}; {result.doubling:.1f} points double the odds"),
        ("Intervals", f"{percent(CONFIDENCE, 0)}, {result.resamples:,} resamples, seed {result.seed}"),
    ]
    sections = [_verdict(verdict), _changes(result), _cuts(result)]
    return ReportPage(f"Proposed points of {result.ruleset}", facts, result.cautions, sections)


def _verdict(verdict: DraftVerdict) -> ReportSection:
    captured, present = verdict.capture.captured, verdict.present_capture.captured
    rows = [
        ["Gini of the total", *_paired(verdict.total)],
        ["Gini of the level", *_paired(verdict.level)],
        [
            f"confirmed in {' and '.join(verdict.capture.top)}",
            interval_words(captured, percent=True),
            interval_words(present, percent=True),
            f"{100 * (captured.estimate - present.estimate):+z.1f} percentage points",
        ],
        [
            f"portfolio in {' and '.join(verdict.capture.top)}",
            percent(verdict.capture.top_share),
            percent(verdict.present_capture.top_share),
            "",
        ],
    ]
    words = f"{'Recommended for review' if verdict.recommended else 'Not recommended'}: {verdict.because}."
    return ReportSection("Verdict", words, ReportTable(["on those who judge", "draft", "as it is", "difference"], rows))


def _paired(paired: Paired) -> list[str]:
    return [f"{paired.first:.3f}", f"{paired.second:.3f}", interval_words(paired.difference, beside=(0,))]


def _changes(result: PointsProposal) -> ReportSection:
    rows = [
        [
            change.rule,
            str(change.outcome),
            change.before,
            change.after,
            f"{change.confirmed:,} of {change.entities:,}",
            f"{100 * change.capture:+z.1f} percentage points" if change.capture else "",
            SHORT[change.source],
        ]
        for change in result.changes
    ]
    words = (
        "Confirmed of those who got the outcome, among the learnt from. Capture: the share of the judged confirmed in "
        "the top levels by the draft, less that with these points as they were. Alike: as what gives the same points. "
        "Too few: not learnt; whole, and in the order of the rule's others."
    )
    columns = ["rule", "case", "now", "draft", "confirmed", "capture", ""]
    return ReportSection("Other points", words, ReportTable(columns, rows, words=2))


def _cuts(result: PointsProposal) -> ReportSection:
    rows = [
        [cut.level, cut.present, cut.proposed, percent(cut.target_below), percent(cut.reached_below)]
        for cut in result.cuts
    ]
    words = "Moved so that the levels of those who were learnt from hold what they hold now, as near as totals admit."
    columns = ["level begins at", "now", "draft", "below it now", "by the draft"]
    return ReportSection("Thresholds", words, ReportTable(columns, rows))
