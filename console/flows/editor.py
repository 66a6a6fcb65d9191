"""The editor of a flow: its text, its steps as forms, what is wrong in it, and the graph of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from fivefold.console.filters import type_names
from fivefold.console.flows.graph import FlowPicture, kind_words, picture_of_text
from fivefold.console.flows.tables import TABLES, GraphRead, read_graph
from fivefold.console.rulesets.drafting import (
    Beginning,
    Conflict,
    DraftKind,
    began_with,
    beginning_at,
    conflict_with,
    typed_text,
)
from fivefold.console.rulesets.tables import TableRead, with_document
from fivefold.console.rulesets.text import (
    ChangesTried,
    LineChange,
    TextLine,
    changes_tried,
    line_changes,
    numbered_lines,
    typed_document,
)
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Rendered, Visit, without_nul
from fivefold.domain.errors import ConfigError, ConflictError, NotFoundError
from fivefold.usecases.accounts.settings import read_levels
from fivefold.usecases.flows.asked_files import bundled_flows, flow_text
from fivefold.usecases.flows.commit import commit_flow
from fivefold.usecases.flows.drafts import discard_flow_draft, save_flow_draft
from fivefold.usecases.flows.forms.fields import FormField, summary_of
from fivefold.usecases.flows.forms.forms import (
    FormChecked,
    PartForm,
    check_form,
    form_of,
    in_its_place,
    new_form,
    with_form,
)
from fivefold.usecases.flows.forms.inline import inline
from fivefold.usecases.flows.forms.known import known_names
from fivefold.usecases.flows.forms.places import (
    KINDS,
    FlowOutline,
    PartLine,
    outline_of,
    refuse_other,
    with_moved,
    without,
)
from fivefold.usecases.flows.forms.typed import SPARE_ROWS, rows_typed
from fivefold.usecases.flows.read import (
    FlowDraftShown,
    FlowLine,
    FlowVersionView,
    read_flow_draft,
    read_flow_line,
    read_flow_version,
)
from fivefold.usecases.flows.review import FlowCheck, check_flow, try_flow_changes

_FIELD: Final = "field-"
_CHOSEN: Final = frozenset({"steps", "stops", "persons", "outside", "actions", "levels"})
"""The kinds of names of which one has to be chosen; a name of another kind need not be in the text."""


@dataclass(frozen=True, kw_only=True)
class FormInput:
    """One value to type or to choose.

    Attributes:
        options: names and titles to choose from, if there are any; the typed value may be another one.
    """

    name: str
    field: FormField
    value: str
    options: tuple[tuple[str, str], ...] = ()

    @property
    def is_chosen(self) -> bool:
        """Whether the value has to be one of the options; otherwise they are only suggestions."""
        return self.field.shape == "choice" or self.field.offers in _CHOSEN


@dataclass(frozen=True, kw_only=True)
class FieldShown:
    """A field: one cell, rows of cells, or options to be ticked.

    Attributes:
        ticks: name, title, and whether it is ticked.
    """

    field: FormField
    cell: FormInput | None = None
    rows: tuple[tuple[FormInput, ...], ...] = ()
    ticks: tuple[tuple[str, str, bool], ...] = ()


@dataclass(frozen=True, kw_only=True)
class FormShown:
    """An open form.

    Attributes:
        summary: the description of its kind in the language.
        checked: what was found.
    """

    form: PartForm
    summary: str
    fields: tuple[FieldShown, ...]
    checked: FormChecked

    @property
    def cells(self) -> tuple[str, ...]:
        """The names of all fields and cells that can have findings."""
        return tuple(
            name
            for shown in self.fields
            for name in (shown.field.name, *(cell.name for row in shown.rows for cell in row))
        )


def form_shown(visit: Visit, document: str, form: PartForm, checked: FormChecked | None = None) -> FormShown:
    """Lay out a form with its values."""
    fields = (each for field in form.fields for each in (field, *field.columns))
    outline = replace(outline_of(document), names_elsewhere=known_names(visit, {each.offers for each in fields}))
    return FormShown(
        form=form,
        summary=summary_of(KINDS[form.part][form.kind]),
        fields=tuple(_field_shown(outline, form, field) for field in form.fields),
        checked=FormChecked() if checked is None else checked,
    )


def typed_form(visit: Visit) -> PartForm | None:
    """Read the form that was sent with a page; None if there was none."""
    part, kind = visit.form.get("form_part", ""), visit.form.get("form_kind", "")
    if part not in KINDS or kind not in KINDS[part]:
        return None
    typed = {name: without_nul(value).strip() for name, value in visit.form.items() if name.startswith(_FIELD)}
    name, after, opened = (visit.form.get(f"form_{word}", "") for word in ("name", "after", "opened"))
    return PartForm(part=part, kind=kind, name=name, after=after, opened=opened, typed=typed)


def checked_form(visit: Visit, document: str, form: PartForm, *, is_typing: bool = False) -> FormShown:
    """Lay out a form with the findings at each of its fields; nothing is stored."""
    return form_shown(visit, document, form, check_form(visit, document, form, is_typing=is_typing))


def _field_shown(outline: FlowOutline, form: PartForm, field: FormField) -> FieldShown:
    if field.shape == "several":
        return FieldShown(field=field, ticks=_ticks(outline, form, field))
    if not field.columns:
        return FieldShown(field=field, cell=_cell(outline, form, field, field.name))
    there = rows_typed(field, form.typed)
    spare = SPARE_ROWS if there or not field.is_needed else 2 * SPARE_ROWS
    rows = tuple(
        tuple(_cell(outline, form, column, field.cell(number, column)) for column in field.columns)
        for number in range(there + spare)
    )
    return FieldShown(field=field, rows=rows)


def _cell(outline: FlowOutline, form: PartForm, field: FormField, name: str) -> FormInput:
    value = form.typed.get(name, "")
    options = _options(outline, form, field)
    cell = FormInput(name=name, field=field, value=value, options=options)
    if value and cell.is_chosen and value not in {option for option, _ in options}:
        return FormInput(name=name, field=field, value=value, options=(*options, (value, value)))
    return cell


def _options(outline: FlowOutline, form: PartForm, field: FormField) -> tuple[tuple[str, str], ...]:
    if field.choices:
        words = {"true": text("yes"), "false": text("no")}
        return tuple((choice, words.get(choice, choice)) for choice in field.choices)
    behind = form.name or form.after or None if form.part == "steps" else None
    return outline.names(field.offers, behind) if field.offers else ()


def _ticks(outline: FlowOutline, form: PartForm, field: FormField) -> tuple[tuple[str, str, bool], ...]:
    options: Mapping[str, str] = dict(_options(outline, form, field))
    start = f"{field.name}-"
    ticked = [name.removeprefix(start) for name, value in form.typed.items() if name.startswith(start) and value]
    everything = {**options, **{name: name for name in ticked if name not in options}}
    none = ((field.name, text("none"), bool(form.typed.get(field.name))),) if field.may_be_empty else ()
    return (*((start + name, title or name, name in ticked) for name, title in everything.items()), *none)


COMMAND: Final = "fivefold flows mutate"


@dataclass(frozen=True, kw_only=True)
class EditorOutcome:
    """What the page shows beside the text after an action.

    Attributes:
        form: the open form; None if there is none.
        written: what was just done to the text; empty if nothing was.
        table: the result of a file with a decision table; None if none was sent.
        graph: the result of a file with a JDM graph; None if none was sent.
        is_form_open: the draft was saved without the content of the open form.
    """

    form: FormShown | None = None
    written: str = ""
    table: TableRead | None = None
    graph: GraphRead | None = None
    is_form_open: bool = False


NOTHING: Final = EditorOutcome()


@dataclass(frozen=True, kw_only=True)
class FlowEditorPage:
    """A text in the editor.

    Attributes:
        flow: the flow whose draft it becomes; None for a new one.
        began: the state when editing began.
        present: the state now.
        saved: the stored draft; None if there is none.
        conflict: what another person saved or committed meanwhile; None if no person did.
        checked: the result of the check; None before a check.
        changes_tried: which changes its examples notice; None if this was not requested.
        lines: the text with the findings in each line.
        compared: the lines that differ from the version that acts, or from the newest one.
        picture: None if the text cannot be read.
        form: the open form; None if there is none.
        outcome: the outcome of the action.
        starts: the built-in flows with which a new flow can start.
        types: the entity types that a new flow can be about.
    """

    flow: FlowLine | None
    address: str
    document: str
    began: Beginning
    present: Beginning
    saved: FlowDraftShown | None
    conflict: Conflict | None
    checked: FlowCheck | None
    changes_tried: ChangesTried | None
    lines: tuple[TextLine, ...]
    compared: tuple[LineChange, ...]
    picture: FlowPicture | None
    outline: FlowOutline
    form: FormShown | None
    outcome: EditorOutcome
    starts: tuple[str, ...]
    types: tuple[str, ...]

    @staticmethod
    def kind_words(part: str, kind: str) -> str:
        """Return the word for the kind of a part."""
        if not kind:
            return text("in the text")
        words = {"examples": text("example"), "flow": text("flow")}
        return kind_words(kind) if part == "steps" else words.get(part, kind)

    def kinds(self, part: str) -> tuple[tuple[str, str], ...]:
        """Return all kinds of a part, each with its word."""
        return tuple((kind, self.kind_words(part, kind)) for kind in KINDS[part])

    @property
    def tables(self) -> tuple[PartLine, ...]:
        """Return the steps that are decision tables."""
        return tuple(each for each in self.outline.parts["steps"] if each.kind == "table")


def show_editor(visit: Visit, outcome: EditorOutcome = NOTHING) -> Rendered:
    """Show the draft of a flow, or the version with which a new draft starts; a typed text is kept and checked."""
    name = visit.parts["flow"]
    flow = read_flow_line(visit, name)
    saved = None if flow.draft_revision is None else read_flow_draft(visit, name)
    if "document" in visit.form:
        return _page(visit, flow, typed_text(visit) or _empty(visit), saved, outcome)
    number = flow.active or flow.newest
    began = "" if number is None else read_flow_version(visit, name, number).document
    return _page(visit, flow, began if saved is None else saved.document, saved)


def show_new(visit: Visit, outcome: EditorOutcome = NOTHING) -> Rendered:
    """Show the text with which a new flow starts: a built-in flow, or the words that each flow needs."""
    start = visit.choice("start", ("", *bundled_flows()))
    return _page(visit, None, typed_text(visit) or (flow_text(start) if start else _empty(visit)), None, outcome)


def _page(
    visit: Visit,
    flow: FlowLine | None,
    document: str,
    saved: FlowDraftShown | None,
    outcome: EditorOutcome = NOTHING,
) -> Rendered:
    typed = "document" in visit.form
    checked = check_flow(visit, document) if typed and document.strip() else None
    present = beginning_at(flow)
    began = began_with(visit) if flow is not None and typed else present
    page = FlowEditorPage(
        flow=flow,
        address=visit.path,
        document=document,
        began=began,
        present=present,
        saved=saved,
        conflict=conflict_with(document, began, flow, saved, partial(_newest, visit, flow)),
        checked=checked,
        changes_tried=None if checked is None else changes_tried(try_flow_changes, visit, document, COMMAND),
        lines=() if checked is None else numbered_lines(document, checked.findings),
        compared=_compared(visit, flow, document, checked),
        picture=picture_of_text(document) if document.strip() else None,
        outline=outline_of(document),
        form=outcome.form or (None if outcome.written and not outcome.is_form_open else _open_form(visit, document)),
        outcome=outcome,
        starts=bundled_flows() if flow is None else (),
        types=type_names(visit) if flow is None else (),
    )
    title = text("New flow") if flow is None else text("Edit {flow}", flow=flow.name)
    return Rendered(template="flows/editor.html", title=title, page=page)


def _empty(visit: Visit) -> str:
    """Return a text with the words that each flow needs, without steps: forms write the steps into it."""
    return f"flow:\ntitle:\nentity_type:\nlevels: {inline(read_levels(visit))}\n"


def _newest(visit: Visit, flow: FlowLine | None) -> FlowVersionView | None:
    if flow is None or flow.newest is None:
        return None
    return read_flow_version(visit, flow.name, flow.newest)


def _compared(visit: Visit, flow: FlowLine | None, document: str, checked: FlowCheck | None) -> tuple[LineChange, ...]:
    if flow is None or checked is None or checked.compared_with is None:
        return ()
    return line_changes(read_flow_version(visit, flow.name, checked.compared_with).document, document)


def _shown(visit: Visit, outcome: EditorOutcome = NOTHING) -> Rendered:
    return show_editor(visit, outcome) if "flow" in visit.parts else show_new(visit, outcome)


def check(visit: Visit) -> Answer:
    """Check the typed text; nothing is stored."""
    typed_document(visit)
    return _shown(visit)


def check_fields(visit: Visit) -> Answer:
    """Check each field of the open form while a person types; nothing is stored."""
    document, form = typed_document(visit), typed_form(visit)
    if form is None:
        raise ConfigError(text("no form is open"))
    shown = checked_form(visit, document, form, is_typing=True)
    return Rendered(template="flows/form_found.html", title="", page=shown)


def write(visit: Visit) -> Answer:
    """Open a form, or write its content into the text and check the text; nothing is stored."""
    document = typed_document(visit)
    act, _, where = visit.form.get("write", "").partition(":")
    part, _, name = where.partition(":")
    form = None
    match act:
        case "open":
            return _shown(visit, EditorOutcome(form=checked_form(visit, document, form_of(document, part, name))))
        case "begin":
            kind, after = visit.typed(f"new_kind_{part}", text("Kind")), visit.form.get(f"new_after_{part}", "")
            return _shown(visit, EditorOutcome(form=form_shown(visit, document, new_form(part, kind, after))))
        case "put":
            document, form, notice = _put(visit, document)
        case "up" | "down":
            name = _shown_part(document, part, name)
            document = with_moved(document, part, name, -1 if act == "up" else 1)
            notice = text("{name} is moved. Nothing is saved yet.", name=name)
        case "remove":
            name = _shown_part(document, part, name)
            document = without(document, part, name)
            notice = text("{name} is removed from the text. Nothing is saved yet.", name=name)
        case _:
            raise ConfigError(text("{act} is not an action of forms", act=repr(act[:40])))
    return _shown(with_document(visit, document), EditorOutcome(form=form, written=notice))


def take_table(visit: Visit) -> Answer:
    """Read a file with the rows of a step into the text, and show the changes; nothing is stored."""
    return TABLES.read_file(visit, lambda done, read: _shown(done, EditorOutcome(table=read)))


def take_graph(visit: Visit) -> Answer:
    """Read a JDM graph as the text, and show it; nothing is stored."""
    return read_graph(visit, lambda done, read: _shown(done, EditorOutcome(graph=read)))


def _shown_part(document: str, part: str, named: str) -> str:
    """Return the name of a part that a button names by hash and name; ConfigError if the part has changed since."""
    hash_of_part, _, name = named.partition(":")
    refuse_other(document, part, name, hash_of_part)
    return name


def _put(visit: Visit, document: str) -> tuple[str, FormShown | None, str]:
    """Write the open form into the text; it stays open if it still has faults."""
    typed = typed_form(visit)
    if typed is None:
        raise ConfigError(text("no form is open"))
    after = with_form(document, typed)
    there = in_its_place(after, typed)
    shown = checked_form(visit, after, there)
    if typed.name:
        notice = text("{name} is changed in the text. Nothing is saved yet.", name=there.name)
    else:
        notice = text("{name} is written into the text. Nothing is saved yet.", name=there.name)
    return after, shown if shown.checked.faults else None, notice


def _open_form(visit: Visit, document: str) -> FormShown | None:
    """Return the open form with its typed values; None if no form is open."""
    form = typed_form(visit)
    return None if form is None else checked_form(visit, document, form)


def _is_form_open(visit: Visit) -> bool:
    document, form = typed_document(visit), typed_form(visit)
    return form is not None and not _stands_in(document, form)


def _show_saved(visit: Visit) -> Rendered:
    outcome = EditorOutcome(written=text("The draft is saved."), is_form_open=_is_form_open(visit))
    return show_editor(visit, outcome)


def _stands_in(document: str, form: PartForm) -> bool:
    try:
        return with_form(document, form) == document
    except (ConfigError, ConflictError, NotFoundError):
        return False


def _refuse_other_name(visit: Visit, document: str, name: str) -> None:
    written = check_flow(visit, document).flow
    if written is not None and written != name:
        raise ConfigError(text("the text is of the flow {written}; here it must be {name}", written=written, name=name))


DRAFTS: Final = DraftKind(
    word="flow",
    place="flows",
    part="flow",
    committed="flow-committed",
    line=read_flow_line,
    draft=read_flow_draft,
    refuse_other_name=_refuse_other_name,
    save_draft=save_flow_draft,
    discard_draft=discard_flow_draft,
    commit=commit_flow,
    is_form_open=_is_form_open,
    show_saved=_show_saved,
    in_use=lambda name: text("there is already a flow {name}; choose another name, or edit that one", name=name),
)
save_new, save, discard, commit_draft = DRAFTS.save_new, DRAFTS.save, DRAFTS.discard, DRAFTS.commit_draft
