"""What a person concerned is given as PDF, in plain words: a statement, and the reply to a challenge; one page each."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from reportlab.lib.units import mm
from reportlab.platypus import BalancedColumns, Spacer

from fivefold.console.levels.pdf import moment_text, pages_of, paragraph
from fivefold.console.rendering import reading_in, words
from fivefold.console.texts import text
from fivefold.usecases.recourse.reply import Reply
from fivefold.usecases.recourse.statement import Effect, FactorStated, Statement, VariationStated

_MARGIN: Final = 15 * mm
"""Narrower than on other pages, so that the factors of a ruleset fit on one."""


def pdf_of_statement(statement: Statement, zone: str) -> bytes:
    """Write a statement as a PDF; its moment is in *zone* of the IANA database, with UTC beside."""
    with reading_in(zone):
        day = moment_text(statement.as_of_us)
    title = text("Statement about {name}", name=statement.external_id)
    story: list[Any] = [
        paragraph(title, "title"),
        paragraph(text("As of {day}, assessment {number}.", day=day, number=statement.assessment)),
    ]
    story.append(paragraph(" ".join(statement.principles), "dense"))
    story += [paragraph(line, "strong") for line in _together(statement)]
    if statement.factors:
        lines = [line for factor in statement.factors for line in _factor(factor)]
        story.append(BalancedColumns(lines, leftPadding=0, innerPadding=12, rightPadding=0))
    story += [Spacer(1, 6), paragraph(text("SHA-256 of this statement: {hash}", hash=statement.sha256), "foot")]
    return pages_of(story, title, title=title, author="", margin=_MARGIN)


def _together(statement: Statement) -> Iterator[str]:
    """Yield the points and the level together, and the floor from before that holds it."""
    if statement.level is not None:
        yield text("Together: {points}, {level}.", points=_points(str(statement.total)), level=words(statement.level))
    if statement.held_floor is not None:
        yield text(
            "At least {level}: earlier data about you required it, and it is not known whether they still do.",
            level=words(statement.held_floor),
        )


def _factor(factor: FactorStated) -> list[Any]:
    effect = factor.effect if factor.points is None else f"{factor.effect} ({_points(factor.points)})"
    if factor.at_least:
        effect += "; " + text("at least {level}", level=words(factor.at_least))
    lines = [paragraph(f"{factor.title}: {effect}", "head")]
    for one in factor.data:
        value = text("{name}: {value}.", name=f"{one.name[:1].upper()}{one.name[1:]}", value=one.value)
        others = [_variation(each) for each in factor.variations if each.name == one.name]
        lines.append(paragraph(" ".join([value, *others]), "dense"))
    if factor.why:
        lines.append(paragraph(text("Why we ask: {why}", why=factor.why), "fine"))
    return lines


def _variation(one: VariationStated) -> str:
    effect = _would_words(one.effect)
    if one.points is not None:
        effect += f" ({_points(one.points)})"
    if one.level is not None:
        effect += "; " + text("together {level}", level=words(one.level))
    return text("If it had been {value}, this would {effect}.", value=one.value, effect=effect)


def _would_words(effect: Effect) -> str:
    effects: Mapping[Effect, str] = {
        "raises the risk": text("raise the risk"),
        "lowers the risk": text("lower the risk"),
        "has no effect": text("have no effect"),
        "not known": text("not be known"),
    }
    return effects[effect]


def _points(points: str) -> str:
    """Write points with their noun.

    >>> _points("1"), _points("-1"), _points("0"), _points("12.5")
    ('1 point', '-1 point', '0 points', '12.5 points')
    """
    if points in {"1", "-1"}:
        return text("{points} point", points=points)
    return text("{points} points", points=points)


def pdf_of_reply(reply: Reply, zone: str) -> bytes:
    """Write a reply as a PDF; its moments are in *zone* of the IANA database, with UTC beside."""
    with reading_in(zone):
        received, settled = moment_text(reply.received_us), moment_text(reply.settled_us)
    title = text("Reply to the challenge of {name}", name=reply.external_id)
    contested = text(
        "You contested assessment {assessment}. We received that on {received}, and settled it on {settled}.",
        assessment=reply.assessment,
        received=received,
        settled=settled,
    )
    story: list[Any] = [paragraph(title, "title"), paragraph(contested), paragraph(reply.outcome, "strong")]
    if reply.answer is not None:
        story.append(paragraph(reply.answer))
    if reply.new_assessment is not None:
        anew = text(
            "The new outcome is assessment {number}; you may request a statement about it.", number=reply.new_assessment
        )
        story.append(paragraph(anew))
    story += [Spacer(1, 12), paragraph(text("SHA-256 of this reply: {hash}", hash=reply.sha256), "foot")]
    return pages_of(story, title, title=title, author="")
