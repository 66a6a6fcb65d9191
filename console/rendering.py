"""Pages as HTML: one environment of templates, strict about what a page does not have."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, PrefixLoader, StrictUndefined
from markupsafe import Markup

from fivefold.charts.bars import LEVEL_WIDTH, LINE_HEIGHT, LINE_WIDTH, PLOT_WIDTH
from fivefold.charts.series import COLUMNS_HEIGHT, COLUMNS_WIDTH, CURVE_HEIGHT, CURVE_WIDTH, SPARK_HEIGHT, SPARK_WIDTH
from fivefold.charts.series import PLOT_HEIGHT as SERIES_HEIGHT
from fivefold.charts.series import PLOT_WIDTH as SERIES_WIDTH
from fivefold.charts.text.numbers import signed_points as signed_number
from fivefold.charts.text.numbers import typeset
from fivefold.console.changes.words import change_kind, change_subject
from fivefold.console.faults import with_fault
from fivefold.console.repeats import new_key
from fivefold.console.texts import text
from fivefold.console.visit import Rendered, Visit, address, notice_of
from fivefold.domain.clock import DAY_US, day_text, from_microseconds, now_microseconds, parse_moment, utc_text
from fivefold.domain.money import amount_words, rounded_words
from fivefold.domain.segments import score_text
from fivefold.domain.text import apart_from, figure_text, percent, unseen_numbered
from fivefold.models.drift import index_words
from fivefold.risk.engine.assessments import NOT_IN_FULL, Status
from fivefold.usecases.levels.explain import ValueSeen, shown_line

HERE = Path(__file__).parent
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?Z")
_FIELD_VALUE = re.compile(r'(?s)(?<=\s)value="[^"]*"|<textarea\b[^>]*>.*?</textarea>')
_ZONE: ContextVar[tzinfo] = ContextVar("zone", default=UTC)
"""Of the reader, while a page is written."""

NOTICES = {
    "assessed": "The level was computed again.",
    "override-requested": "The override is requested. Another person has to approve or refuse it.",
    "override-requested-beside": (
        "The override is requested. Another person has to approve or refuse it."
        " Another one is waiting for this customer: the one that is approved last replaces the other."
    ),
    "override-approved": "The override is approved. It takes effect when the level is computed again.",
    "override-refused": "The override is refused. The level stays as it is.",
    "override-revoked": "The override is ended.",
    "challenge-opened": "The challenge is recorded, and the contested record is preserved.",
    "challenge-settled": "The challenge is settled.",
    "change-proposed": "The change may lower a level, so it is proposed. Another person has to approve it.",
    "change-proposed-anew": (
        "The change may lower a level, so it is proposed. Another person has to approve it."
        " It replaces your earlier proposal, which is withdrawn."
    ),
    "proposal-withdrawn": "You withdrew the change. It will not be carried out.",
    "draft-saved": "The draft is saved.",
    "draft-discarded": "The draft is discarded. The versions stay as they are.",
    "committed": "The version is committed. A backtest shows who would move; then another person has to activate it.",
    "backtest-requested": "The backtest is requested. A worker runs it; reload the page to see its progress.",
    "activated": (
        "The version decides from now on. All customers of the type are assessed again; "
        "the ruleset's page shows the progress."
    ),
    "rollback-proposed": "The roll-back is proposed. A backtest runs; then another person has to approve it.",
    "rolled-back": "The version decides again.",
    "proposal-approved": "The change is approved and carried out.",
    "proposal-refused": "The change will not be carried out.",
    "role-taken": "You continue in another role.",
    "zone-set": "Times are shown in your zone from now on.",
    "tag-set": "The tag is set.",
    "tag-unread": "The tag is set. No active ruleset, policy, group or flow reads it, so it changes no level.",
    "tag-there": "You have already set this tag for this reason, so nothing was changed.",
    "tag-ended": "The tag is ended.",
    "model-promoted": "This version serves from now on. Processes of the service load it within a minute.",
    "promotion-proposed": "The promotion is proposed. Another person has to approve it where the registry is.",
    "model-rolled-back": "The earlier version serves again.",
    "validation-asked": "The validation is requested. A worker carries it out.",
    "validation-under-way": "That quarter is already being validated. This is the progress.",
    "evidence-asked": "The evidence is requested. A worker collects it.",
    "evidence-under-way": "The evidence of that quarter is already being collected. This is the progress.",
    "validation-signed-off": "The validation is signed off.",
    "peer-attached": "The figures of the peer are now shown beside those of the validation.",
    "peer-there": "These figures were already attached.",
    "change-registered": "The change is registered. It requires a revalidation until another person signs it off.",
    "change-signed-off": "The change is signed off.",
    "assigned": "The item is assigned.",
    "unassigned": "The item is no longer assigned.",
    "put-away": "That item is put away. This is the next one.",
    "put-away-last": "That item is put away. That was the last item. The items listed come before it, or were skipped.",
    "filter-saved": "The filter is saved under its name.",
    "filter-replaced": "The filter is saved under its name, in place of the earlier one.",
    "filter-removed": "The filter is removed.",
    "queue-end": "That was the last item. The items listed here come before it, or were skipped.",
    "member-added": "The member is added. Next, request a token: the member signs in with it.",
    "roles-set": "The roles are set. Tokens of removed roles have ended.",
    "member-left": "The member has left. All their tokens have ended.",
    "letters-sent": "It will be sent again, in the order of the events. A worker does this shortly.",
    "letters-gone": "There was nothing to send again.",
    "webhook-kinds-changed": "The endpoint receives these events from now on.",
    "webhook-secrets-dropped": "Only the newest secret signs from now on.",
    "webhook-paused": "The endpoint is paused. New events wait meanwhile.",
    "webhook-goes-on": "The endpoint receives events again. Waiting events are sent first.",
    "webhook-removed": "The endpoint is removed.",
    "webhook-same": "It was so already.",
    "failed-again": "It was tried again, and could not be assessed in full.",
    "settings-changed": "The settings are changed.",
    "settings-proposed": "The change of the settings is proposed. Another administrator has to approve it.",
    "settings-same": "The settings were already like this.",
    "list-added": "The version is added.",
    "list-proposed": "The version is proposed. Another person has to approve it.",
    "list-same": "The list already has that version.",
    "backtest-cancelled": "The backtest is cancelled. A worker that is running it stops after its present part.",
    "reference-asked": "The reference is requested. A worker builds it, and proposes it as a version of its list.",
    "reference-under-way": "A reference of that version is already being built. This is its progress.",
    "points-asked": "The points are requested. A worker learns them, and creates a draft at most.",
    "points-under-way": "Points of this ruleset are already being learnt. This is the progress.",
    "order-changed": "The order is changed.",
    "order-proposed": "The order is proposed. Another person has to approve it.",
    "ruleset-switched": "The ruleset is switched.",
    "switch-proposed": "The change is proposed. Another person has to approve it.",
    "group-approved": "The version determines the members from now on. Workers check all customers of its type.",
    "group-proposed": "The version is proposed. Another person has to approve it.",
    "group-retired": "The version is retired.",
    "policy-approved": "The version decides from now on.",
    "policy-proposed": "The version is proposed. Another person has to approve it.",
    "policy-refused": "The version will not decide.",
    "policy-retired": "The version no longer decides.",
    "retirement-proposed": "The end of the version is proposed. Another person has to approve it.",
    "flow-activated": "The version acts from now on.",
    "flow-rolled-back": "The version acts again.",
    "flow-off": "The flow is switched off. It does nothing from now on.",
    "flow-shadowed": "The version runs as a shadow from now on, and takes no actions.",
    "replay-asked": "The replay is requested. A worker runs it; it takes no actions.",
    "replay-under-way": "A replay of this version is already waiting or running. This is its progress.",
    "replay-cancelled": "The replay is cancelled. A worker that is running it stops after its present part.",
    "flow-shadow-ended": "No version runs as a shadow now.",
    "flow-committed": "The version is committed. Let it run as a shadow first; then another person has to activate it.",
    "flow-answered": "The answer is stored, and the run continues.",
    "flow-retried": "A worker will try the run again.",
    "flow-taken-back": "It is taken back.",
    "flow-reviewed": "The review is recorded as done.",
    "token-refused": "The token will not be issued.",
    "token-revoked": "The token is revoked. Its sessions here have ended.",
}
"""What a page says once after an action, by the name that stands in its address."""


def render(visit: Visit, answer: Rendered) -> str:
    """Write a page for a person who is signed in."""
    with reading_in(visit.session.zone):
        html = _render(answer, visit=visit, now_us=visit.now(), notice=NOTICES.get(notice_of(visit), ""))
    return with_fault(html, visit)


def render_alone(answer: Rendered) -> str:
    """Write a page for a person who is not signed in."""
    return _render(answer, visit=None, now_us=now_microseconds(), notice="")


def _render(answer: Rendered, **values: Any) -> str:
    template = environment().get_template(answer.template)
    html = template.render(page=answer.page, title=answer.title, **values)
    return _with_unseen_numbered(html)


def _with_unseen_numbered(html: str) -> str:
    """Show control characters by their numbers, but in fields, which are sent back as they are stored."""
    parts, end = [], 0
    for field in _FIELD_VALUE.finditer(html):
        parts += [unseen_numbered(html[end : field.start()]), field[0]]
        end = field.end()
    return "".join((*parts, unseen_numbered(html[end:])))


@cache
def environment() -> Environment:
    """Build the environment: the templates of each topic under its name, those of all under none."""
    topics = {path.parent.name: FileSystemLoader(path) for path in sorted(HERE.glob("*/templates"))}
    pages = Environment(
        loader=PrefixLoader({**topics, "shared": FileSystemLoader(HERE / "templates")}),
        autoescape=True,
        auto_reload=False,  # no page looks whether its files have changed
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.globals |= {
        "_": text,
        "address": address,
        "form_key": new_key,
        "change_subject": change_subject,
        "PLOT_WIDTH": PLOT_WIDTH,
        "LEVEL_WIDTH": LEVEL_WIDTH,
        "LINE_WIDTH": LINE_WIDTH,
        "LINE_HEIGHT": LINE_HEIGHT,
        "SPARK_WIDTH": SPARK_WIDTH,
        "SPARK_HEIGHT": SPARK_HEIGHT,
        "SERIES_WIDTH": SERIES_WIDTH,
        "SERIES_HEIGHT": SERIES_HEIGHT,
        "COLUMNS_WIDTH": COLUMNS_WIDTH,
        "COLUMNS_HEIGHT": COLUMNS_HEIGHT,
        "CURVE_WIDTH": CURVE_WIDTH,
        "CURVE_HEIGHT": CURVE_HEIGHT,
    }
    pages.tests["not_in_full"] = NOT_IN_FULL.__contains__
    pages.filters |= {
        "age": age,
        "apart": apart_from,
        "ascii": ascii,
        "attribute": attribute,
        "before": before,
        "by_lines": by_lines,
        "change_kind": change_kind,
        "thousands": "{:,}".format,
        "day": day,
        "exact_moment": day_text,
        "figure": figure_text,
        "index": index_words,
        "kept": kept_text,
        "moment": moment,
        "iso_moment": iso_moment,
        "money": money,
        "percent": percent,
        "period": period,
        "points": points,
        "rounded": rounded,
        "score": score_text,
        "seen_value": seen_value,
        "sentence": sentence,
        "shown_line": shown_line,
        "signed": signed,
        "typeset": typeset,
        "words": words,
    }
    return pages


def kept_text(status: str, rules_level: str | None) -> str:
    """Say why a level of the rules stays after an assessment that was not made in full; nothing where none stays.

    >>> kept_text("failed", "low")
    'The assessment failed, so the level of the rules stays; only a rule that sets a floor can raise it.'
    >>> kept_text("assessed", "low")
    ''
    """
    if rules_level is None:
        return ""
    if status == Status.FAILED:
        return text(
            "The assessment failed, so the level of the rules stays; only a rule that sets a floor can raise it."
        )
    if status == Status.UNCLASSIFIED:
        return text(
            "The score is in no tier, so the level of the rules stays; only a rule that sets a floor can raise it."
        )
    if status == Status.UNDETERMINED:
        return text(
            "It is unknown whether the ruleset applies, so the level of the rules stays;"
            " only a rule that sets a floor can raise it."
        )
    return ""


def moment(time_us: int | None) -> Markup | str:
    """Write a moment to the minute, in the reader's zone with UTC beside; a dash for none.

    >>> moment(60_000_000)
    Markup('<time datetime="1970-01-01T00:01:00Z">1970-01-01 00:01 UTC</time>')
    >>> with reading_in("Asia/Kolkata"):
    ...     moment(1_800_000_000_000_000)
    Markup('<time datetime="2027-01-15T08:00:00Z">2027-01-15 13:30 IST</time> <small>08:00 UTC</small>')
    """
    if time_us is None:
        return "–"
    at = from_microseconds(time_us)
    here = _here(at)
    shown = Markup('<time datetime="{}">{}</time>').format(utc_text(time_us), f"{here:%Y-%m-%d %H:%M %Z}")
    if here.utcoffset() == at.utcoffset():
        return shown
    return shown + Markup(" <small>{} UTC</small>").format(
        f"{at:%H:%M}" if here.date() == at.date() else f"{at:%d %b %H:%M}"
    )


def by_lines(written: str | None) -> Markup:
    r"""Write what a person wrote with its lines; nothing for none.

    >>> by_lines("A court <asked>.\n\nSee the letter.")
    Markup('A court &lt;asked&gt;.<br><br>See the letter.')
    """
    return Markup("<br>").join((written or "").splitlines())


def iso_moment(written: str) -> Markup | str:
    """Write a moment that an answer has in ISO form.

    >>> iso_moment("1970-01-01T00:01:00.25+00:00")
    Markup('<time datetime="1970-01-01T00:01:00.250000Z">1970-01-01 00:01 UTC</time>')
    """
    return moment(parse_moment(written))


def day(time_us: int | None) -> Markup | str:
    """Write the day of a moment in the reader's zone, with the zone and the day in UTC where that is another one.

    The moment in UTC stands there for programs; a dash for none. Midnight in UTC is a day of the calendar, as it was
    given or summed, and stays that day in every zone.

    >>> day(86_400_000_000)
    Markup('<time datetime="1970-01-02T00:00:00Z">2 January 1970</time>')
    >>> with reading_in("America/New_York"):
    ...     print(day(86_400_000_000).striptags(), "/", day(86_400_000_001).striptags())
    2 January 1970 / 1 January 1970 EST 02 Jan UTC
    """
    if time_us is None:
        return "–"
    at = from_microseconds(time_us)
    here = _here(at) if time_us % DAY_US else at
    written = Markup('<time datetime="{}">{}</time>')
    if here.date() == at.date():
        return written.format(utc_text(time_us), f"{here.day} {here:%B %Y}")
    return written.format(utc_text(time_us), f"{here.day} {here:%B %Y %Z}") + Markup(" <small>{} UTC</small>").format(
        f"{at:%d %b}"
    )


def period(from_us: int, until_us: int) -> Markup:
    """Write a time that ends before *until_us* by its first and its last day; otherwise by its moments.

    >>> print(period(0, 2 * 86_400_000_000).striptags(), "/", period(0, 60_000_000).striptags())
    1 January 1970 to 2 January 1970 / 1970-01-01 00:00 UTC to before 1970-01-01 00:01 UTC
    """
    if from_us % DAY_US or until_us % DAY_US:
        return Markup("{} {} {}").format(moment(from_us), text("to before"), moment(until_us))
    return Markup("{} {} {}").format(day(from_us), text("to"), day(until_us - DAY_US))


def _here(at: datetime) -> datetime:
    """Give a moment in the reader's zone; in UTC where the calendar there has no such day any more."""
    try:
        return at.astimezone(_ZONE.get())
    except OverflowError:
        return at


@contextmanager
def reading_in(zone: str) -> Iterator[None]:
    """Write the moments of a page for a reader in a zone of the IANA database."""
    token = _ZONE.set(ZoneInfo(zone))
    try:
        yield
    finally:
        _ZONE.reset(token)


def age(time_us: int, now_us: int) -> str:
    """Tell how long ago a moment was, or how long it is until then, in the largest unit that is whole.

    What is to come is rounded: an item that is due in five days is so a second later too.

    >>> age(0, 172_800_000_000), age(86_400_000_000, 0), age(0, 0), age(0, 61_000_000)
    ('2 days ago', 'in 1 day', 'now', '1 minute ago')
    >>> age(432_000_000_000, 1_000_000), age(86_400_000_000, 1_000_000)
    ('in 5 days', 'in 24 hours')
    """
    counted = _largest_unit(abs(now_us - time_us), rounded=time_us >= now_us)
    if counted is None:
        return "now"
    return f"{counted} ago" if time_us < now_us else f"in {counted}"


def before(time_us: int, as_of_us: int) -> str:
    """Tell how long before another moment a moment was, in the largest unit that is whole.

    >>> before(0, 172_800_000_000), before(0, 86_399_000_000), before(5, 5)
    ('2 days before', '23 hours before', 'less than a minute before')
    """
    counted = _largest_unit(max(as_of_us - time_us, 0), rounded=False)
    return text("less than a minute before") if counted is None else text("{time} before", time=counted)


def _largest_unit(apart_us: int, *, rounded: bool) -> str | None:
    """Count the days, hours or minutes of a time; None where it is less than a minute."""
    apart = timedelta(microseconds=apart_us)
    for unit, length in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        if apart >= length:
            count = round(apart / length) if rounded else apart // length
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return None


def sentence(line: str) -> str:
    """Write a stored sentence with its moments in the reader's zone; its words stay as they are.

    They are to the minute, or to the second where two of them would look the same.

    >>> sentence("held at High until 2026-11-22T04:05:06.306618Z by the cooldown")
    'held at High until 2026-11-22 04:05 UTC by the cooldown'
    >>> with reading_in("Asia/Kolkata"):
    ...     sentence("until 2026-11-22T22:05:00Z, and 2026-99-99T00:00Z is none")
    'until 2026-11-23 03:35 IST, and 2026-99-99T00:00Z is none'
    >>> sentence("of 2026-11-22T22:05:17.5Z, not of 2026-11-22T22:05:03Z")
    'of 2026-11-22 22:05:17 UTC, not of 2026-11-22 22:05:03 UTC'
    """
    written = {each[0] for each in _MOMENT.finditer(line)}
    to_the_minute = {each: _shown(each, "%H:%M") for each in written}
    are_apart = len(set(to_the_minute.values())) == len(written)
    shown = to_the_minute if are_apart else {each: _shown(each, "%H:%M:%S") for each in written}
    return _MOMENT.sub(lambda each: shown[each[0]], line)


def _shown(written: str, form: str) -> str:
    try:
        at = datetime.fromisoformat(written)
    except ValueError:  # digits that name no moment, such as in the title of a rule
        return written
    return f"{_here(at):%Y-%m-%d {form} %Z}"


def seen_value(value: ValueSeen) -> str:
    """Write what a rule saw; of days no more than a tenth, cut off, so that a limit that was not reached is not shown.

    >>> seen_value(ValueSeen("days since opened", "1,860.985")), seen_value(ValueSeen("days since opened", "364.98"))
    ('1,860.9', '364.9')
    >>> seen_value(ValueSeen("cash ratio", "0.985")), seen_value(ValueSeen("days since opened", "unknown"))
    ('0.985', 'unknown')
    """
    if not (value.name.startswith("days since") or value.name.endswith("in days")):
        return typeset(value.value)
    return typeset(re.sub(r"^(-?[\d,]+\.\d)\d+$", r"\1", value.value).removesuffix(".0"))


def signed(number: str) -> str:
    """Write points as they are added: with a plus, or with the minus of the field, and thousands apart.

    >>> signed("20"), signed("-2.5"), signed("0"), signed("90210.5")
    ('+20', '−2.5', '0', '+90,210.5')
    """
    sign = "−" if number.startswith(("-", "−")) else "+" if number.strip("0.") else ""
    whole, point, rest = number.lstrip("-−").partition(".")
    return f"{sign}{int(whole.replace(',', '')):,}{point}{rest}"


def money(amount: float, currency: str) -> str:
    """Write a sum as it was sent, with the minus of the field.

    >>> money(-10601.0, "EUR"), money(0.5, "EUR"), signed(money(-10601.0, "EUR"))
    ('−10,601.00', '0.50', '−10,601.00')
    """
    return typeset(amount_words(amount, currency))


def rounded(amount: float, currency: str) -> str:
    """Write a sum that was computed, with the minus of the field."""
    return typeset(rounded_words(amount, currency))


def points(number: float, decimals: int = 2) -> str:
    """Write points of a value score as they are added.

    >>> points(0.256), points(-0.3), points(-0.0001)
    ('+0.26', '−0.30', '−0.0001')
    """
    return typeset(signed_number(number, decimals))


def attribute(value: Any) -> str:
    """Write the value of an attribute.

    >>> [attribute(each) for each in (None, True, 20000.0, -0.5, ["a", "b"], [], "2026-08-23T00:00:00.000000", "x")]
    ['–', 'yes', '20,000', '−0.5', 'a, b', 'none', '2026-08-23', 'x']
    """
    match value:
        case None:
            return "–"
        case bool():
            return text("yes") if value else text("no")
        case int() | float():
            return typeset(f"{value:,}".removesuffix(".0"))
        case list():
            return ", ".join(map(attribute, value)) or text("none")
        case dict():
            return json.dumps(value, ensure_ascii=False, sort_keys=True)
        case _:
            return re.sub(r"^(\d{4}-\d\d-\d\d)T00:00:00(\.0+)?$", r"\1", str(value))


def words(name: str) -> str:
    """Write a name as people read it.

    >>> words("politically_exposed")
    'Politically exposed'
    """
    plain = name.replace("_", " ").replace("-", " ")
    return plain[:1].upper() + plain[1:]
