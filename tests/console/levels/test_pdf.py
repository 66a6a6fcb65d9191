"""A customer as PDF: whatever is stored fits on its pages, whose number each of them has."""

import re
from dataclasses import replace

import pytest
from reportlab.graphics.shapes import Drawing, String

from fivefold.console.levels import pdf
from fivefold.usecases.levels.entity_profile import ScreeningLine, TagLine
from fivefold.usecases.levels.explain import FiredRule, ValueSeen
from fivefold.usecases.levels.overrides import OverrideLine
from fivefold.usecases.portfolio.export import CustomerExport, ExportedValue

AT = 1_800_000_000_123_456
CUSTOMER = CustomerExport(
    entity_type="customer",
    external_id="user_000006",
    exported_us=AT,
    open_challenges=(),
    exported_by="ida",
    level="high",
    rules_level="medium",
    status="assessed",
    since_us=AT,
    may_move_down_us=None,
    refreshing=False,
    failing=False,
    assessed_us=AT,
    ruleset="fatf-retail",
    ruleset_version=3,
    kept_by=(),
    stale_rates_days=None,
    overridden=True,
    override=OverrideLine(
        id=4,
        entity_type="customer",
        external_id="user_000006",
        level="high",
        rules_level="medium",
        present_level="high",
        below_floor=False,
        reason="A court asked for it.",
        until_us=AT,
        state="live",
        requested_by="ida",
        requested_us=AT,
        decided_by="ann",
        decided_us=AT,
        decision_reason=None,
        revoked_by=None,
        revoked_us=None,
        revocation_reason=None,
    ),
    sentence="Score 30: Payments to or from listed countries 40 − Source of funds 5; Low, raised to High by a floor",
    assessment="6.2",
    address="/console/assessments/6.2",
    factors=(
        FiredRule(
            title="Payments to or from listed countries",
            rationale=None,
            case=None,
            values=(ValueSeen("transactions in 180 days", "1"),),
            points="40",
            floor="high",
        ),
        FiredRule(title="Source of funds", rationale=None, case=None, values=(), points="-5", floor=None),
    ),
    value=ExportedValue(
        score=2.08,
        segment="medium",
        expected_value=1.46,
        expected_value_low=0.5,
        expected_value_high=9.0,
        interval_level_percent=90,
        currency="EUR",
        horizon_days=90,
        model="fivefold-value",
        model_version=1,
        superseded_by=None,
        as_of_us=AT,
        unexplained="",
    ),
    attributes={"products": ["current-account", "savings"], "last_review": "2026-08-24T00:00:00.000000"},
    tags=(
        TagLine(
            tag="watch",
            from_us=AT,
            until_us=None,
            set_by="ida",
            set_reason=None,
            set_proposed_by=None,
            ended_by=None,
            end_reason=None,
            end_proposed_by=None,
            goes_on=False,
        ),
    ),
    screenings=(ScreeningLine(screening="pep", found=False, at_us=AT, recorded_us=AT),),
)


def pages_of(document: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", document))


def test_a_level_that_stays_after_a_failed_assessment_is_said_to_stay() -> None:
    failed = replace(CUSTOMER, status="failed")
    stays = "The assessment failed, so the level of the rules stays; only a rule that sets a floor can raise it."
    assert pdf._level(failed).endswith(stays)
    assert "stays" not in pdf._level(CUSTOMER)


def test_a_level_that_could_not_be_computed_again_is_said_to_be_old() -> None:
    failed = replace(CUSTOMER, failing=True, refreshing=True)
    said = "The last assessment failed. Data changed since then."
    assert pdf._level(failed) == f"Risk: High since {pdf.moment_text(AT)}. {said}"
    assert pdf._level(replace(failed, level=None, since_us=None, status="never assessed")) == (
        f"Risk: Never assessed. {said}"
    )


def test_what_holds_a_level_up_is_said_as_on_the_page() -> None:
    held = replace(CUSTOMER, override=None, may_move_down_us=AT, kept_by=("firms", "shops"))
    may_move_down, kept_by, _ = pdf._decided(held)
    assert may_move_down == "May move to a lower level from 15 January 2027 on."
    assert kept_by == (
        "These rulesets keep the customer as well, until it is known that they do not apply,"
        " so that a missing value does not lower the level: firms, shops."
    )


def test_a_customer_fits_on_one_page() -> None:
    document = pdf.pdf_of(CUSTOMER, "UTC")
    assert document.startswith(b"%PDF-")
    assert pages_of(document) == 1


def test_what_decided_and_whose_override_holds_is_said_as_on_the_page() -> None:
    override, when = pdf._decided(CUSTOMER)
    until = pdf.moment_text(AT)
    assert override == (
        f"An override holds: High, until {until}. Without it: Medium. Reason: A court asked for it.\n"
        f"Requested by ida, {until}. Approved by ann, {until}."
    )
    assert when == f"Assessed {until}. Decided by ruleset fatf-retail version 3."
    assert CUSTOMER.override is not None
    endless = replace(CUSTOMER, override=replace(CUSTOMER.override, until_us=None))
    assert next(iter(pdf._decided(endless))).startswith("An override holds: High, without an end. Without it: Medium.")
    expired = replace(CUSTOMER, override=replace(CUSTOMER.override, state="expired"), stale_rates_days=9)
    override, rates, _ = pdf._decided(expired)
    assert override.startswith(
        f"The level came from an override that has ended: High, by itself at {until}. Without it"
    )
    assert rates == "Money was converted at rates that were 9 days old."


def test_who_ended_an_override_and_why_is_said_of_one_that_ended() -> None:
    assert CUSTOMER.override is not None
    ended = replace(CUSTOMER.override, state="revoked", revoked_by="kim", revoked_us=AT, revocation_reason="Paid.")
    at = pdf.moment_text(AT)
    for reason, said in (("Paid.", f"\nEnded by kim, {at}: Paid."), (None, f"\nEnded by kim, {at}.")):
        override, _ = pdf._decided(replace(CUSTOMER, override=replace(ended, revocation_reason=reason)))
        assert override.startswith("The level came from an override that has ended: High. Without it: Medium.")
        assert override.endswith(f"Approved by ann, {at}.{said}")


def test_where_there_is_no_value_the_page_and_the_pdf_say_why_alike() -> None:
    never = replace(CUSTOMER, value=None)
    assert (pdf._worth(never), pdf._origin(never)) == (
        "There is no value: no model has scored this customer, or no transactions count.",
        "",
    )
    assert CUSTOMER.value is not None
    why = "No transaction of the customer counts by then."
    unscored = replace(CUSTOMER, value=replace(CUSTOMER.value, score=None, expected_value=None, unexplained=why))
    assert pdf._worth(unscored) == f"There has been no value since 15 January 2027. {why}"
    assert pdf._origin(unscored) == f"As of {pdf.moment_text(AT)}, fivefold-value version 1."


def test_a_value_has_its_interval_its_model_and_its_moment() -> None:
    assert "over the next 90 days, between 0.50 and 9.00 EUR, 90 % sure." in pdf._worth(CUSTOMER)
    assert pdf._origin(CUSTOMER) == f"As of {pdf.moment_text(AT)}, fivefold-value version 1."


def test_what_a_customer_is_worth_has_the_decimals_of_its_currency() -> None:
    assert CUSTOMER.value is not None
    worth = [pdf._worth(replace(CUSTOMER, value=replace(CUSTOMER.value, currency=code))) for code in ("KWD", "JPY")]
    assert ["Expected value 1.460 KWD" in worth[0], "Expected value 1 JPY" in worth[1]] == [True, True]
    loss = replace(CUSTOMER.value, expected_value=-1.46)
    assert "Expected value −1.46 EUR" in pdf._worth(replace(CUSTOMER, value=loss)), "with the minus of the pages"


def test_a_value_of_another_model_says_which_one_serves() -> None:
    assert CUSTOMER.value is not None
    worth = [pdf._worth(replace(CUSTOMER, value=replace(CUSTOMER.value, superseded_by=by))) for by in (None, 1, 2)]
    assert "version" not in worth[0]
    assert worth[1].endswith("By version 1 of the value model; another model has this number now.")
    assert worth[2].endswith("By version 1 of the value model; version 2 serves now.")


def test_a_calculation_has_its_formula_beside_its_value() -> None:
    formula = "cash out 3 ÷ income 10 = 0.3, as of 2026-11-30T19:03:48.295985Z"
    assert pdf._value_text(ValueSeen("cash share", "0.3", formula)) == (
        "cash share: 0.3 (cash out 3 ÷ income 10 = 0.3, as of 2026-11-30 19:03 UTC)"
    )
    assert pdf._value_text(ValueSeen("income", "10")) == "income: 10"


@pytest.mark.parametrize("long", ["word " * 4000, "x" * 20_000, "\n".join("abc" * 9 for _ in range(300))])
def test_a_long_value_goes_on_on_the_next_page(long: str) -> None:
    rule = replace(CUSTOMER.factors[0], values=(ValueSeen("name", long),), title=long[:2000])
    export = replace(CUSTOMER, attributes={"note": long}, factors=(rule, *CUSTOMER.factors), external_id=long[:200])
    assert pages_of(pdf.pdf_of(export, "UTC")) > 2


def test_what_a_person_wrote_keeps_its_lines_and_paragraphs() -> None:
    one, four = (pdf.paragraph(written) for written in ("One. Two.", "One.\r\n\r\nTwo & <b>\n  three."))
    assert [each.wrap(400, 400)[1] for each in (one, four)] == [12, 48]


def test_letters_that_the_font_lacks_are_of_another_font_or_said_by_their_number() -> None:
    assert pdf._with_fonts("Żółć Ωμέγα Жук <b> & →") == "Żółć Ωμέγα Жук &lt;b&gt; &amp; →"
    assert pdf._with_fonts("王") == '<font name="STSong-Light">王</font>'
    assert pdf._with_fonts("한") == '<font name="HYSMyeongJo-Medium">한</font>'
    assert pdf._with_fonts("अ\U0001f600"[:1]) == "[U+0905]"
    assert pdf._with_fonts("דוד م 1") == "[U+05D3][U+05D5][U+05D3] [U+0645] 1"  # it would draw them from left to right
    assert (
        pdf._with_fonts("Anna \u202eevil\u202c x") == "Anna [U+202E]evil[U+202C] x"
    )  # it would turn the letters around
    document = pdf.pdf_of(replace(CUSTOMER, external_id="王小明 한글 अ"), "UTC")
    assert b"STSong-Light" in document
    assert b"HYSMyeongJo-Medium" in document


def drawn(export: CustomerExport) -> list[tuple[str, float, str]]:
    """Give each text of the picture: its font, where it begins, and what it says."""
    (picture,) = (each for each in pdf._factors(export) if isinstance(each, Drawing))
    return [(each.fontName, each.x, each.text) for each in picture.contents if isinstance(each, String)]


def test_the_picture_writes_titles_in_fonts_that_have_their_letters_and_within_the_page() -> None:
    titles = ("国家的风险" * 10, "Żółć 한 \u05d3", "Страна " * 10)
    factors = tuple(replace(CUSTOMER.factors[0], title=title, points="7") for title in titles)
    texts = drawn(replace(CUSTOMER, factors=factors))
    assert all(x >= 0 for _, x, _ in texts)
    fonts = {sign: font for font, _, sign in texts}
    assert (fonts["国"], fonts["한"], fonts["Ż"]) == ("STSong-Light", "HYSMyeongJo-Medium", "DejaVuSans")
    assert "[U+05D3]" in fonts
    assert [sign for *_, sign in texts].count("…") == 2


def test_the_picture_has_the_exact_points_of_the_table() -> None:
    """Rounded to two decimals a score of 30.9975 would be one of 31.00, which another level begins at."""
    factors = tuple(replace(CUSTOMER.factors[0], points=points) for points in ("30.5", "0.4975"))
    texts = [sign for *_, sign in drawn(replace(CUSTOMER, factors=factors))]
    assert {"+30.5", "+0.4975", "30.9975"} <= set(texts)


def test_moments_are_in_the_zone_of_the_reader_with_utc_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    paragraph = pdf.paragraph
    monkeypatch.setattr(
        pdf, "paragraph", lambda written, style="plain": said.append(written) or paragraph(written, style)
    )
    pdf.pdf_of(CUSTOMER, "Asia/Kolkata")
    assert "Risk: High since 2027-01-15 13:30 IST (08:00 UTC)." in said
    assert "Exported by ida, 2027-01-15 13:30 IST (08:00 UTC). Permanent address: /console/assessments/6.2" in said
    assert "Last review: 2026-08-24" in said
    assert "user_000006, 2027-01-15 13:30 IST (08:00 UTC) · Page 1 of 1" in said
