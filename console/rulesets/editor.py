"""The editor: the text, its faults, its changes, and its result for one example customer."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Final

from fivefold.console.rulesets.drafting import (
    Beginning,
    Conflict,
    DraftKind,
    began_with,
    beginning_at,
    conflict_with,
    typed_text,
)
from fivefold.console.rulesets.tables import TABLES, TableRead
from fivefold.console.rulesets.text import (
    ChangesTried,
    TextLine,
    changes_tried,
    numbered_lines,
    typed_document,
)
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Rendered, Visit
from fivefold.domain.errors import InvalidRulesetError, NotFoundError
from fivefold.usecases.portfolio_files.bundled import bundled_rulesets, bundled_text
from fivefold.usecases.rulesets.check import TextCheck, check_text, try_changes
from fivefold.usecases.rulesets.commit import commit
from fivefold.usecases.rulesets.drafts import discard_draft, save_draft
from fivefold.usecases.rulesets.example_customer import EntityTried, try_text
from fivefold.usecases.rulesets.life_cycle import refuse_other_name
from fivefold.usecases.rulesets.read import DraftShown, RulesetLine, VersionView, read_draft, read_ruleset, read_version
from fivefold.usecases.rulesets.text_forms import (
    CATEGORIES,
    OPERATORS,
    CaseForm,
    Outline,
    RuleForm,
    TierForm,
    outline_of,
    with_case,
    with_rule,
    with_thresholds,
    with_tiers,
    with_weights,
)

MOST_TIERS: Final = 10
"""The most tiers for which the editor has a form, as a form may have only so many fields."""
_TYPED: Final = {
    "rule": ("rule_value", "rule_points", "rule_id", "rule_title", "rule_rationale", "rule_floor"),
    "case": ("case_value", "case_points", "case_floor"),
}
"""The fields of forms that start empty."""


@dataclass(frozen=True, kw_only=True)
class FormParts:
    """The forms as the page shows them again, each by its word in the field `write`.

    Attributes:
        states: the state in which a form with values of the text was shown; its page sends it along.
        unwritten: the forms with input that is not in the text yet.
    """

    form: Mapping[str, str]
    states: Mapping[str, str]
    unwritten: frozenset[str]
    just_written: str

    def value(self, part: str, name: str, standing: str = "") -> str:
        """Return the value of a field: the typed one, or else that of the text."""
        is_kept = part in self.unwritten or (part in _TYPED and part != self.just_written)
        return self.form.get(name, standing) if is_kept else standing


def form_parts(form: Mapping[str, str], outline: Outline, just_written: str = "") -> FormParts:
    """Return the forms with their unwritten input; *just_written*: the form that has just written into the text."""
    states = {part: _state(values) for part, values in _standing(outline).items()}
    unwritten = {part for part, names in _TYPED.items() if any(form.get(name, "").strip() for name in names)}
    for part, values in _typed_over(form).items():
        if (values or f"seen_{part}" in form) and _state(values) != form.get(f"seen_{part}", states[part]):
            unwritten.add(part)
    return FormParts(
        form=form, states=states, unwritten=frozenset(unwritten - {just_written}), just_written=just_written
    )


def tiers_typed(form: Mapping[str, str]) -> list[TierForm]:
    """Read the rows of tiers that are not empty."""
    rows = []
    for number in range(MOST_TIERS + 1):
        words = [form.get(f"tier_{number}_{word}", "").strip() for word in ("title", "least", "most", "level")]
        if any(words):
            rows.append(TierForm(title=words[0], least=words[1], most=words[2], level=words[3]))
    return rows


def _standing(outline: Outline) -> dict[str, list[str]]:
    """Return the values of the text in the forms that start with them."""
    return {
        "thresholds": [] if outline.thresholds is None else [outline.thresholds],
        "tiers": [word for tier in outline.tiers for word in astuple(tier)],
        "weights": [lines for _, lines in sorted(outline.weights.items())],
    }


def _typed_over(form: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the present values of these forms."""
    return {
        "thresholds": [form["thresholds"]] if "thresholds" in form else [],
        "tiers": [word for tier in tiers_typed(form) for word in astuple(tier)],
        "weights": [lines for name, lines in sorted(form.items()) if name.startswith("weights_")],
    }


def _state(values: Iterable[str]) -> str:
    lines = "\0".join("\n".join(value.split()) for value in values)
    return sha256(lines.encode("utf-8", "surrogatepass")).hexdigest()[:16]


COMMAND: Final = "fivefold rules test --mutate"
WRITTEN: Final = "written"
"""The query parameter by which an action tells its page what it has just done with the text."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """The example customer: the results of both texts, or why there are none."""

    external_id: str
    outcome: EntityTried | None = None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class EditorPage:
    """A text in the editor.

    Attributes:
        ruleset: the ruleset whose draft it becomes; None for a new one.
        address: the address of the page.
        document: the text.
        began: the state when editing began.
        present: the state now.
        saved: the stored draft; None if there is none.
        conflict: what another person saved or committed meanwhile; None if no person did.
        checked: the result of the check; None before a check.
        lines: the text with the findings in each line.
        tried: None if no customer was named.
        changes_tried: None if it was not requested.
        starts: the built-in rulesets with which a new ruleset can start.
        outline: what the forms choose from.
        most_tiers: the most tiers for which there is a form.
        table: the result of a file with the cases of a rule; None if none was sent.
        written: what was just done: a form wrote into the text, or the draft was saved; empty otherwise.
        parts: the forms that write into the text.
    """

    ruleset: RulesetLine | None
    address: str
    document: str
    began: Beginning
    present: Beginning
    saved: DraftShown | None
    conflict: Conflict | None
    checked: TextCheck | None
    lines: tuple[TextLine, ...]
    tried: Tried | None
    changes_tried: ChangesTried | None
    outline: Outline
    operators: Mapping[str, str]
    categories: tuple[str, ...]
    written: str
    parts: FormParts
    table: TableRead | None = None
    most_tiers: int = MOST_TIERS
    starts: tuple[str, ...] = ()


def show_editor(visit: Visit, table: TableRead | None = None) -> Rendered:
    """Show the draft of a ruleset, or the version with which a new draft starts; a typed text is kept and checked."""
    family = visit.parts["family"]
    ruleset = read_ruleset(visit, family)
    saved = None if ruleset.draft_revision is None else read_draft(visit, family)
    if "document" not in visit.form:
        return _page(visit, ruleset, saved.document if saved is not None else _began(visit, ruleset), saved)
    return _page(visit, ruleset, typed_text(visit), saved, table)


def show_new(visit: Visit, table: TableRead | None = None) -> Rendered:
    """Show the text with which a new ruleset starts: a built-in ruleset, or an empty text."""
    start = visit.choice("start", ("", *bundled_rulesets()))
    return _page(visit, None, typed_text(visit) or (bundled_text(start) if start else ""), None, table)


def _newest(visit: Visit, ruleset: RulesetLine | None) -> VersionView | None:
    if ruleset is None or ruleset.newest is None:
        return None
    return read_version(visit, ruleset.name, ruleset.newest)


def _began(visit: Visit, ruleset: RulesetLine) -> str:
    number = ruleset.newest if ruleset.active is None else ruleset.active.number
    return "" if number is None else read_version(visit, ruleset.name, number).document


def _page(
    visit: Visit,
    ruleset: RulesetLine | None,
    document: str,
    saved: DraftShown | None,
    table: TableRead | None = None,
) -> Rendered:
    checked = check_text(visit, document) if "document" in visit.form and document.strip() else None
    outline = outline_of(document)
    present = beginning_at(ruleset)
    began = began_with(visit) if ruleset is not None and "document" in visit.form else present
    written = visit.query.get(WRITTEN, "") if visit.action in {"write", "save"} and not visit.problem else ""
    page = EditorPage(
        ruleset=ruleset,
        address=visit.path,
        document=document,
        began=began,
        present=present,
        saved=saved,
        conflict=conflict_with(document, began, ruleset, saved, partial(_newest, visit, ruleset)),
        checked=checked,
        lines=() if checked is None else numbered_lines(document, checked.findings),
        tried=None if checked is None else _tried(visit, ruleset, document, checked),
        changes_tried=changes_tried(try_changes, visit, document, COMMAND) if checked is not None else None,
        outline=outline,
        operators=OPERATORS,
        categories=CATEGORIES,
        written=written,
        parts=form_parts(visit.form, outline, visit.form.get("write", "") if written else ""),
        table=table,
        starts=bundled_rulesets() if ruleset is None else (),
    )
    title = text("New ruleset") if ruleset is None else text("Edit {family}", family=ruleset.name)
    return Rendered(template="rulesets/editor.html", title=title, page=page)


def _tried(visit: Visit, ruleset: RulesetLine | None, document: str, checked: TextCheck) -> Tried | None:
    external_id = visit.form.get("customer", "").strip()
    if not external_id:
        return None
    family = ruleset.name if ruleset is not None else checked.family
    if checked.content_hash is None or family is None:
        return Tried(external_id=external_id, problem=text("The text has faults, so it cannot assess a customer."))
    try:
        return Tried(external_id=external_id, outcome=try_text(visit, family, external_id, document))
    except InvalidRulesetError:
        return Tried(external_id=external_id, problem=text("The text has faults, so it cannot assess a customer."))
    except NotFoundError as error:
        return Tried(external_id=external_id, problem=f"{error}.")


def check(visit: Visit) -> Answer:
    """Check the typed text, and try it on a customer; nothing is stored."""
    typed_document(visit)
    return show_new(visit) if "family" not in visit.parts else show_editor(visit)


def write(visit: Visit) -> Answer:
    """Write the content of a form into the text, and check the text; nothing is stored."""
    document = typed_document(visit)
    match visit.form.get("write"):
        case "rule":
            document = with_rule(document, _rule_form(visit))
            notice = text("The rule is written into the text after the others. Nothing is saved yet.")
        case "case":
            document = with_case(document, visit.typed("case_rule", text("Rule")), _case_form(visit, "case"))
            notice = text("The case is written into the text; it is tried after the others. Nothing is saved yet.")
        case "tiers":
            document = with_tiers(document, tiers_typed(visit.form))
            notice = text("The tiers are written into the text. Nothing is saved yet.")
        case "weights":
            for name in outline_of(document).weights:
                document = with_weights(document, name, visit.form.get(f"weights_{name}", ""))
            notice = text("The weights are written into the text. Nothing is saved yet.")
        case _:
            document = with_thresholds(document, visit.typed("thresholds", text("Thresholds")))
            notice = text("The thresholds are written into the text. Nothing is saved yet.")
    done = replace(visit, form={**visit.form, "document": document}, query={WRITTEN: notice})
    return show_new(done) if "family" not in visit.parts else show_editor(done)


def take_table(visit: Visit) -> Answer:
    """Read a file with the cases of a rule into the text, and show the changes; nothing is stored."""
    return TABLES.read_file(visit, show_new if "family" not in visit.parts else show_editor)


def _rule_form(visit: Visit) -> RuleForm:
    return RuleForm(
        id=visit.typed("rule_id", text("Name of the rule")),
        title=visit.typed("rule_title", text("Title")),
        category=visit.typed("rule_category", text("Category")),
        rationale=visit.form.get("rule_rationale", "").strip(),
        field=visit.typed("rule_field", text("Field")),
        case=_case_form(visit, "rule"),
    )


def _case_form(visit: Visit, of: str) -> CaseForm:
    return CaseForm(
        operator=visit.typed(f"{of}_operator", text("Comparison")),
        value=visit.typed(f"{of}_value", text("Value")),
        points=visit.typed(f"{of}_points", text("Points")),
        floor=visit.form.get(f"{of}_floor", ""),
    )


def _is_form_open(visit: Visit) -> bool:
    return bool(form_parts(visit.form, outline_of(typed_document(visit))).unwritten)


def _show_saved(visit: Visit) -> Rendered:
    return show_editor(replace(visit, query={WRITTEN: text("The draft is saved.")}))


def _refuse_other_name(_: Visit, document: str, name: str) -> None:
    refuse_other_name(document, "ruleset", name)


DRAFTS: Final = DraftKind(
    word="ruleset",
    place="rulesets",
    part="family",
    committed="committed",
    line=read_ruleset,
    draft=read_draft,
    refuse_other_name=_refuse_other_name,
    save_draft=save_draft,
    discard_draft=discard_draft,
    commit=commit,
    is_form_open=_is_form_open,
    show_saved=_show_saved,
    in_use=lambda name: text("there is already a ruleset {name}; choose another name, or edit that one", name=name),
)
save_new, save, discard, commit_draft = DRAFTS.save_new, DRAFTS.save, DRAFTS.discard, DRAFTS.commit_draft
