"""Labels: which entities were confirmed, when that became known, and which inputs would reveal it beforehand.

Rows without a date do not show what was known at as-of, so a validation leaves them out, with a caution.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from fivefold.domain.errors import FileFormatError, Finding, InvalidRulesetError, hint_of_1970
from fivefold.domain.text import count_text, nearest
from fivefold.risk.compiler.analysis import AnalysedRuleset
from fivefold.risk.compiler.formulas import simple_parts
from fivefold.risk.compiler.value_types import Vocabulary, inputs_of_rule
from fivefold.risk.engine.assessments import Assessments
from fivefold.risk.engine.explain.describe import input_words
from fivefold.risk.engine.program import APPLIES
from fivefold.risk.facts.groups.links import BEGINS
from fivefold.risk.facts.portfolio import AS_OF, ENTITY, Portfolio
from fivefold.risk.facts.reading import read_field, read_moments
from fivefold.risk.governance.validate.ranking import Marks, Numbers, Paired, auc, compare_all
from fivefold.risk.language.base import LanguageModel
from fivefold.risk.language.expressions import PLAIN_INPUTS, input_key

CONFIRMED, AT = "confirmed", "at"
LABELS_ARE = ("cases", "alerts")
"""The sources that labels are assumed to be made of by default: inputs that read these are refused."""


@dataclass(frozen=True, kw_only=True)
class LabelledEntities:
    """The labels of entities, as seen from each entity's as-of.

    Attributes:
        confirmed: n marks: it became known after as-of (and no later than the horizon).
        known_before: n marks: it was already known at as-of, so nothing is left to predict.
        later: n marks: it became known only after the horizon, and counts as not confirmed.
        undated: how many labels have no moment, and are assumed to have become known after as-of.
        strangers: how many confirmed entities the portfolio does not have.
        taken_back: how many confirmed entities have a later label that is not confirmed.
    """

    confirmed: Marks
    known_before: Marks
    later: Marks
    undated: int
    strangers: tuple[str, ...]
    taken_back: int = 0

    def judged(self, outcomes: pl.DataFrame) -> Marks:
        """Mark the entities to judge: those to which the ruleset applies, and not confirmed before."""
        marks: Marks = outcomes[APPLIES].to_numpy() & ~self.known_before
        return marks


def match_labels(
    labels: pl.DataFrame, entities: pl.DataFrame, until: int | None = None, *, undated_are_later: bool = False
) -> LabelledEntities:
    """Match labels with entities; an entity without one is not confirmed.

    Args:
        labels: `entity_id`, `confirmed` (true or false; without the column all are), `at` (when it became known: a
            date, a time, or ISO text). Of several confirmed rows of an entity the earliest counts.
        entities: `entity_id` and `as_of` (microseconds).
        until: labels that became known after this moment, in microseconds, do not count yet.
        undated_are_later: assume that labels without a moment became known after as-of; otherwise they are refused.

    Raises:
        FileFormatError: a column or a moment is missing, or a value cannot be read.
    """
    first = _earliest(labels, undated_are_later=undated_are_later)
    rows = entities.select(ENTITY, AS_OF).join(first, on=ENTITY, how="left", validate="m:1", maintain_order="left")
    has, at = rows["labelled"].fill_null(False), rows[AT]
    known_before = (has & (at <= rows[AS_OF]).fill_null(False)).to_numpy()
    over = (at > until).fill_null(False) if until is not None else pl.repeat(False, len(rows), eager=True)
    later = (has & over).to_numpy() & ~known_before
    strangers = first.join(entities, on=ENTITY, how="anti").sort(ENTITY)[ENTITY]
    undated = int((has & at.is_null()).sum())
    confirmed = has.to_numpy() & ~known_before & ~later
    return LabelledEntities(
        confirmed=confirmed,
        known_before=known_before,
        later=later,
        undated=undated,
        strangers=tuple(strangers),
        taken_back=int((confirmed & rows["taken_back"].fill_null(False).to_numpy()).sum()),
    )


def doubts_about_strangers(labels: LabelledEntities) -> list[str]:
    """Say how many confirmed entities are counted nowhere, as the portfolio does not have them."""
    strangers = len(labels.strangers)
    return [f"Confirmed, but not in the portfolio, so counted nowhere: {strangers}"] if strangers else []


def doubts_about_labels(labels: LabelledEntities) -> list[str]:
    """Say which labels were counted although they may be wrong, and how many were counted nowhere."""
    doubts = []
    if labels.undated:
        doubts.append(
            f"{labels.undated} labels have no date and were taken to have become known after as-of; "
            "nothing here shows that they were not known before"
        )
    doubts += doubts_about_strangers(labels)
    if labels.taken_back:
        doubts.append(
            f"{count_text(labels.taken_back, 'entity was', 'entities were')} confirmed and later not confirmed, and "
            "counted as confirmed: a later row may be about another case. Take out the rows of labels that were taken "
            "back"
        )
    return doubts


def _earliest(labels: pl.DataFrame, *, undated_are_later: bool) -> pl.DataFrame:
    """Keep one row for each confirmed entity."""
    if ENTITY not in labels.columns:
        raise FileFormatError(f"labels have no {ENTITY}; there are {', '.join(labels.columns) or 'none'}")
    if CONFIRMED not in labels.columns and AT not in labels.columns and not undated_are_later:
        raise FileFormatError(
            f"labels have neither a column {CONFIRMED} nor {AT}; there are {', '.join(labels.columns)}. A column of "
            f"another name is given with --map, such as date={AT}"
        )
    confirmed = _flags(labels, CONFIRMED, pl.repeat(True, len(labels), eager=True))
    if confirmed.null_count():
        which, value = _label_words(labels, confirmed.is_null()), labels[CONFIRMED].filter(confirmed.is_null())[0]
        value_words = "nothing" if value is None else repr(value)
        raise FileFormatError(f"{which} has {value_words} in the column {CONFIRMED}; it must be true or false")
    at = read_moments(labels[AT]) if AT in labels.columns else pl.repeat(None, len(labels), dtype=pl.Int64, eager=True)
    texts = labels[AT].cast(pl.String) if AT in labels.columns else pl.Series([], dtype=pl.String)
    unread = at.is_null() & texts.is_not_null() & (texts != "") if AT in labels.columns else at.is_not_null()
    if unread.any():
        (text,) = texts.filter(unread).head(1)
        raise FileFormatError(
            f"{_label_words(labels, unread)} has {text!r} in the column {AT}, which is not an ISO date or time, "
            f"such as 2025-06-30{hint_of_1970(texts.filter(unread).to_list())}"
        )
    missing = confirmed & at.is_null()
    if missing.any() and not undated_are_later:
        raise FileFormatError(
            f"{count_text(int(missing.sum()), 'confirmed label')} without a date in the column {AT}, the first "
            f"{_label_words(labels, missing)}: when it became known. Without it nobody can tell what was known before; "
            "--undated-later says that all of them became known after as-of"
        )
    frame = pl.DataFrame({ENTITY: labels[ENTITY].cast(pl.String), AT: at, CONFIRMED: confirmed})
    first = pl.col(AT).filter(pl.col(CONFIRMED)).min()
    return (
        frame.group_by(ENTITY, maintain_order=True)
        .agg(
            first,
            pl.col(CONFIRMED).any().alias("labelled"),
            (pl.col(AT).filter(~pl.col(CONFIRMED)).max() > first).fill_null(False).alias("taken_back"),
        )
        .filter("labelled")
    )


def _label_words(labels: pl.DataFrame, chosen: pl.Series) -> str:
    """Describe the first of the chosen labels: its entity, and its row, from 1."""
    place = chosen.arg_max() or 0
    return f"the label of {labels[ENTITY][place]} (row {place + 1} of the labels)"


def _flags(labels: pl.DataFrame, name: str, otherwise: pl.Series) -> pl.Series:
    return read_field(labels[name], "flag")[0] if name in labels.columns else otherwise


def refuse_leaks(analysed: AnalysedRuleset, banned: Sequence[str] = (), made_of: Sequence[str] = LABELS_ARE) -> None:
    """Refuse a ruleset that reads the sources of the label.

    Args:
        analysed: the ruleset that is to be validated.
        banned: names that no input may have: fields (of the entity, transactions or cases), indicators, tags,
            screenings, patterns, and what is counted: transactions, cases, alerts.
        made_of: the sources that the label itself was made of; empty if it comes from elsewhere.

    Raises:
        InvalidRulesetError: each such input, with the rule that reads it.
    """
    ruleset, refused = analysed.ruleset, {*banned, *made_of}
    findings = [
        Finding(f"rule {rule.id}", f"reads {input_words(rule_input)}: {name} {_why(name, made_of)}")
        for rule in ruleset.rules
        for rule_input in inputs_of_rule(rule)
        for name in sorted(refused & _names_below(rule_input, analysed.names))
    ]
    in_rules = {input_key(rule_input) for rule in ruleset.rules for rule_input in inputs_of_rule(rule)}
    findings += [
        Finding("applies_to, weights_by", f"reads {input_words(rule_input)}: {name} {_why(name, made_of)}")
        for rule_input in analysed.inputs
        if input_key(rule_input) not in in_rules
        for name in sorted(refused & _names_below(rule_input, analysed.names))
    ]
    if findings:
        raise InvalidRulesetError(list(dict.fromkeys(findings)), f"what ruleset {ruleset.name} would be validated with")


def doubts_about_banned(analysed: AnalysedRuleset, banned: Sequence[str]) -> Iterator[str]:
    """Describe banned names that do not exist but resemble one that is read: a typing error bans nothing."""
    read = {name for each in analysed.inputs for name in _names_below(each, analysed.names)}
    for name in banned:
        if name not in read and (near := nearest(name, sorted(read))):
            yield f"The ruleset reads nothing that is called {name}, which is banned; perhaps {near} was meant"


def doubts_about_failed(failed: int, confirmed: int, so: str) -> list[str]:
    """Describe how many entities were not assessed in full, how many are confirmed, and the consequence (*so*)."""
    if not failed:
        return []
    entities = count_text(failed, "entity", "entities")
    return [f"{entities} could not be assessed in full, {confirmed:,} of them confirmed: {so}"]


def _names_below(rule_input: LanguageModel, names: Vocabulary) -> set[str]:
    """Return every name in an input, and in the inputs that it is calculated from."""
    return {name for part in (rule_input, *simple_parts(rule_input, names)) for name in names_in(part)}


def _why(name: str, made_of: Sequence[str]) -> str:
    if name not in made_of:
        return "is banned from this validation"
    return "are what the labels are made of; say so if the labels come from elsewhere"


def names_in(rule_input: LanguageModel) -> Iterator[str]:
    """Yield every name in an input and in its conditions."""
    yield from _texts(rule_input.model_dump(mode="json", by_alias=True, exclude_none=True))


_NAMING = (
    frozenset(PLAIN_INPUTS) - {"calculation"}  # it is the ruleset's own, and its inputs are checked instead
    | {"of", "pattern", "counterparty", "transaction_field", "expected_monthly", "declared"}
)
"""Keys of the language whose value is a name."""


def _texts(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        for word, below in part.items():
            if word in _NAMING and isinstance(below, str):
                yield below
            else:
                yield from _texts(below)
    elif isinstance(part, list):
        for below in part:
            yield from _texts(below)


KNOWN_AT = "known_at"
_DATES = {"tags": "from", "screenings": "at"}


def dated_only(portfolio: Portfolio, *, undated_known: bool = False) -> tuple[Portfolio, tuple[str, ...]]:
    """Leave out undated tags and screenings; return cautions for these, and for undated attributes and links.

    A tag set without a date when a case was confirmed would reveal the label. Attributes cannot be left out without
    leaving out the entities, nor links without making groups unknown, so for these there is only a caution.

    Args:
        portfolio: as it was read.
        undated_known: assume that undated rows were known at as-of; they are kept, with a caution.
    """
    cautions = []
    for name, column in _DATES.items():
        table: pl.DataFrame | None = getattr(portfolio, name)
        if table is None or not len(table):
            continue
        dated = _dated(table, column)
        undated = int((~dated).sum())
        if not undated:
            continue
        rows = f"{undated:,} of {len(table):,} {name} have no date ({column})"
        if undated_known:
            cautions.append(
                f"{rows} and were taken as known at as-of, as was asked; one that was set later tells the label"
            )
        else:
            cautions.append(f"{rows} and were left out: nothing shows that they were known at as-of")
            rest = table.filter(dated)
            portfolio = replace(portfolio, tags=rest) if name == "tags" else replace(portfolio, screenings=rest)
    entities = portfolio.entities
    undated = int((~_dated(entities, KNOWN_AT)).sum())
    if undated:
        cautions.append(
            f"the attributes of {undated:,} of {len(entities):,} entities have no date (known_at) and were taken as "
            "known at as-of: an attribute that was set when a case was confirmed would tell the label"
        )
    links = None if portfolio.links is None else portfolio.links.frame
    undated = 0 if links is None else int((~_dated(links, BEGINS)).sum())
    if links is not None and undated:
        cautions.append(
            f"{undated:,} of {len(links):,} links have no date ({BEGINS}) and were taken as known at as-of: a link "
            "that was found when a case was looked at would tell the label"
        )
    return portfolio, tuple(cautions)


def _dated(table: pl.DataFrame, column: str) -> pl.Series:
    """Mark the rows that have a date; an unreadable one is an error of its entity, as in every assessment."""
    if column not in table.columns:
        return pl.repeat(False, len(table), dtype=pl.Boolean, eager=True)
    moments, wrong = read_field(table[column], "date")
    return moments.is_not_null() if wrong is None else moments.is_not_null() | wrong.is_not_null()


SUSPICIOUS_AUC = 0.98
"""A column with a higher AUC was probably made from the label, or after it."""

MOST_WORDS = 20
"""Number of the most frequent values of a text that are ranked, each alone."""

BEST_SHOWN = 5


@dataclass(frozen=True)
class Single:
    """One input column ranked as if it were the whole model.

    Attributes:
        column: the column, in words.
        auc: the AUC of the column alone, in the better direction (which is known only with hindsight).
        suspected: it separates so well that it was probably made from the label.
        paired: the Gini of the total compared with that of the column alone; None if not compared.
    """

    column: str
    auc: float
    suspected: bool
    paired: Paired | None = None


def singles(
    assessments: Assessments, total: Numbers, included: Marks, confirmed: Marks, seed: int, resamples: int
) -> tuple[Single, ...]:
    """Rank by every input column alone, the best first; the best few, and all suspected ones, are compared.

    Args:
        assessments: the assessments of n entities.
        total: the totals of those who are *included*.
        included: n marks: the entities that are ranked.
        confirmed: n marks.
        seed: the seed of the resamples.
        resamples: the number of resamples.
    """
    names, marked = input_names(assessments), confirmed[included]
    columns = [(words, _turned(score[included], marked)) for words, score in columns_alone(assessments.inputs, names)]
    ranked = sorted(((auc(score, marked), words, score) for words, score in columns), key=lambda one: (-one[0], one[1]))
    suspects = sum(area > SUSPICIOUS_AUC for area, _, _ in ranked)
    compared_columns = ranked[: max(BEST_SHOWN, suspects)]
    compared = compare_all(total, [score for _, _, score in compared_columns], marked, seed, resamples)
    return tuple(
        Single(words, area, area > SUSPICIOUS_AUC, paired)
        for (area, words, _), paired in zip(compared_columns, compared, strict=True)
    )


def input_names(assessments: Assessments) -> dict[str, str]:
    """Return the names of input columns in words."""
    return {input_key(each): input_words(each) for each in assessments.program.analysed.inputs}


def columns_alone(inputs: pl.DataFrame, names: Mapping[str, str]) -> Iterator[tuple[str, Numbers]]:
    """Yield the scores from each input column alone: its values, each word, and whether it is known.

    Args:
        inputs: a column for each input; others are left out.
        names: the columns, with their names in words.
    """
    for key, words in names.items():
        column = inputs[key]
        if column.null_count():
            yield f"{words} is known", column.is_not_null().cast(pl.Int64).to_numpy()
        if column.dtype == pl.String or isinstance(column.dtype, pl.List):
            yield from _words_alone(column, words)
        else:
            yield words, column.cast(pl.Float64).fill_null(-np.inf).to_numpy()


def _words_alone(column: pl.Series, words: str) -> Iterator[tuple[str, Numbers]]:
    listed = (
        column if isinstance(column.dtype, pl.List) else column.to_frame().select(pl.concat_list(pl.all())).to_series()
    )
    every = listed.explode().drop_nulls()
    for word in every.value_counts(sort=True).head(MOST_WORDS)[:, 0]:
        yield f"{words} is {word}", listed.list.contains(word).fill_null(False).cast(pl.Int64).to_numpy()


def _turned(score: Numbers, confirmed: Marks) -> Numbers:
    """Reverse a score if low values mean risk."""
    return score if auc(score, confirmed) >= 0.5 else -score
