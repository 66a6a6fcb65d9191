"""The editor of a flow: its text, its steps as forms, what is wrong in it, and the graph of it."""

from dataclasses import dataclass, replace
from typing import Final

from fivefold.console.flows.graph import FlowPicture, kind_words, picture_of_text
from fivefold.console.rulesets.changes_tried import ChangesTried, changes_tried
from fivefold.console.rulesets.text import (
    LineChange,
    TextLine,
    line_changes,
    numbered_lines,
    refused_shortly,
    typed_document,
)
from fivefold.console.texts import text
from fivefold.console.visit import Answer, Redirect, Rendered, Visit, address, existing_number, plain_lines
from fivefold.domain.errors import ConfigError, ConflictError, Finding, InvalidRulesetError, NotFoundError
from fivefold.usecases.flows.asked_files import bundled_flows, flow_text
from fivefold.usecases.flows.commit import commit_flow
from fivefold.usecases.flows.drafts import NO_DRAFT, save_flow_draft
from fivefold.usecases.flows.read import FlowDraftShown, FlowLine, read_flow_draft, read_flow_line, read_flow_version
from fivefold.usecases.flows.review import FlowCheck, check_flow, try_flow_changes
from fivefold.usecases.flows.text_forms import (
    FORMS,
    ROWS,
    StepForm,
    StepOutline,
    form_of,
    steps_of,
    with_changed_step,
    with_moved_step,
    with_step,
    without_step,
)

COMMAND: Final = "fivefold flows mutate"
SPARE_ROWS: Final = 2
"""Empty rows at the end of a form, for further ones."""
MOST_ROWS_OF_A_FORM: Final = 40
"""A step of more rows is changed in the text."""


@dataclass(frozen=True, kw_only=True)
class StepEdited:
    """The form of a step that is open.

    Attributes:
        form: what is in its fields.
        rows: those that are there, and empty ones.
        after: the step behind which it comes; None for one that is there.
        later: ids and titles of the steps to which it may lead.
    """

    form: StepForm
    rows: tuple[tuple[str, str], ...]
    after: str | None
    later: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class FlowEditorPage:
    """A text that is edited.

    Attributes:
        flow: whose draft it becomes; None for a new one.
        revision: of the draft that it began with; 0 where there was none.
        saved: the draft as it is stored now; None where there is none.
        conflict: the lines in which the text differs from what another person saved meanwhile; None where none did.
        checked: what was found; None before a check.
        changes_tried: which changes its examples notice; None where that was not asked for.
        lines: the text with what was found in each line.
        compared: the lines that differ from the version that acts, or the newest.
        picture: None where the text cannot be read.
        step: the form that is open; None for none.
        written: what a form has just written into the text; empty otherwise.
        starts: what a new flow can begin with.
    """

    flow: FlowLine | None
    address: str
    document: str
    revision: int
    saved: FlowDraftShown | None
    conflict: tuple[LineChange, ...] | None
    checked: FlowCheck | None
    changes_tried: ChangesTried | None
    lines: tuple[TextLine, ...]
    compared: tuple[LineChange, ...]
    picture: FlowPicture | None
    outline: StepOutline
    step: StepEdited | None
    written: str
    starts: tuple[str, ...]
    kinds: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def kind_words(kind: str) -> str:
        """Say what a step does, by the word of its kind."""
        return kind_words(kind) if kind else text("in the text")

    @property
    def without_line(self) -> tuple[Finding, ...]:
        """What was found and is of no line."""
        return () if self.checked is None else tuple(each for each in self.checked.findings if each.line is None)


def show_editor(visit: Visit, step: StepEdited | None = None, written: str = "") -> Rendered:
    """Show the draft of a flow, or the version that a new one begins with; what was typed is kept, and checked."""
    name = visit.parts["flow"]
    flow = read_flow_line(visit, name)
    saved = None if flow.draft_revision is None else read_flow_draft(visit, name)
    if "document" in visit.form:
        return _page(visit, flow, _typed(visit), saved, step, written)
    number = flow.active or flow.newest
    began = "" if number is None else read_flow_version(visit, name, number).document
    return _page(visit, flow, began if saved is None else saved.document, saved)


def show_new(visit: Visit, step: StepEdited | None = None, written: str = "") -> Rendered:
    """Show the text that a new flow begins with: one of those that ship, or nothing."""
    start = visit.choice("start", ("", *bundled_flows()))
    return _page(visit, None, _typed(visit) or (flow_text(start) if start else ""), None, step, written)


def _typed(visit: Visit) -> str:
    return plain_lines(visit.form.get("document", ""))


def _revision(visit: Visit) -> int:
    return existing_number(visit.form.get("revision") or str(NO_DRAFT), text("revision"))


def _page(
    visit: Visit,
    flow: FlowLine | None,
    document: str,
    saved: FlowDraftShown | None,
    step: StepEdited | None = None,
    written: str = "",
) -> Rendered:
    typed = "document" in visit.form
    checked = check_flow(visit, document) if typed and document.strip() else None
    present = NO_DRAFT if saved is None else saved.revision
    revision = _revision(visit) if typed else present
    page = FlowEditorPage(
        flow=flow,
        address=visit.path,
        document=document,
        revision=revision,
        saved=saved,
        conflict=None if revision == present else line_changes("" if saved is None else saved.document, document),
        checked=checked,
        changes_tried=None if checked is None else changes_tried(try_flow_changes, visit, document, COMMAND),
        lines=() if checked is None else numbered_lines(document, checked.findings),
        compared=_compared(visit, flow, document, checked),
        picture=picture_of_text(document) if document.strip() else None,
        outline=steps_of(document),
        step=step or (None if written else _kept(visit, document)),
        written=written,
        starts=bundled_flows() if flow is None else (),
        kinds=tuple((kind, kind_words(kind)) for kind in FORMS),
    )
    title = text("New flow") if flow is None else text("Edit {flow}", flow=flow.name)
    return Rendered(template="flows/editor.html", title=title, page=page)


def _compared(visit: Visit, flow: FlowLine | None, document: str, checked: FlowCheck | None) -> tuple[LineChange, ...]:
    if flow is None or checked is None or checked.compared_with is None:
        return ()
    return line_changes(read_flow_version(visit, flow.name, checked.compared_with).document, document)


def _shown(visit: Visit, step: StepEdited | None = None, written: str = "") -> Rendered:
    return show_editor(visit, step, written) if "flow" in visit.parts else show_new(visit, step, written)


def check(visit: Visit) -> Answer:
    """Look through what was typed; nothing is stored."""
    typed_document(visit)
    return _shown(visit)


def write(visit: Visit) -> Answer:
    """Open the form of a step, or write what a form says into the text, and look through it; nothing is stored."""
    document = typed_document(visit)
    act, _, step = visit.form.get("write", "").partition(":")
    match act:
        case "open":
            return _shown(visit, _edited(document, form_of(document, step), None))
        case "begin":
            kind, after = visit.typed("new_kind", text("Kind")), visit.typed("new_after", text("Behind the step"))
            return _shown(visit, _edited(document, StepForm(kind=kind, id=""), after))
        case "add":
            form = _typed_form(visit, visit.typed("step_id", text("Name")))
            document = with_step(document, form, visit.typed("step_after", text("Behind the step")))
            said = text("The step {step} is written into the text. Nothing is saved yet.", step=form.id)
        case "change":
            document = with_changed_step(document, _typed_form(visit, step))
            said = text("The step {step} is changed in the text. Nothing is saved yet.", step=step)
        case "up" | "down":
            document = with_moved_step(document, step, -1 if act == "up" else 1)
            said = text("The step {step} has another place. Nothing is saved yet.", step=step)
        case "remove":
            document = without_step(document, step)
            said = text("The step {step} is taken out of the text. Nothing is saved yet.", step=step)
        case _:
            raise ConfigError(text("{act} is nothing that forms do", act=repr(act[:40])))
    return _shown(replace(visit, form={**visit.form, "document": document}), written=said)


def _edited(document: str, form: StepForm, after: str | None) -> StepEdited:
    if form.kind not in FORMS:
        raise ConfigError(text("{kind} is no kind of step with a form", kind=repr(form.kind[:40])))
    if len(form.rows) > MOST_ROWS_OF_A_FORM:
        raise ConfigError(text("the step {step} has more rows than the form; change it in the text", step=form.id))
    steps = [(step[0], step[2]) for step in steps_of(document).steps]
    place = [step[0] for step in steps].index(form.id if after is None else after)
    spare = SPARE_ROWS if form.rows else 2 * SPARE_ROWS
    rows = (*form.rows, *[("", "")] * spare) if form.kind in ROWS else ()
    return StepEdited(form=form, rows=rows, after=after, later=tuple(steps[place + 1 :]))


def _kept(visit: Visit, document: str) -> StepEdited | None:
    """Keep a form that is open, with what was typed into it; None where none is, or its step is gone."""
    ids = [step[0] for step in steps_of(document).steps]
    after, step = visit.form.get("step_after"), visit.form.get("step_id", "")
    if visit.form.get("step_kind") not in FORMS or (step if after is None else after) not in ids:
        return None
    return _edited(document, _typed_form(visit, step), after)


def _typed_form(visit: Visit, step: str) -> StepForm:
    typed = {name: plain_lines(value).replace("\n", " ").strip() for name, value in visit.form.items()}
    values = {name.removeprefix("value_"): value for name, value in typed.items() if name.startswith("value_")}
    chosen = [name.removeprefix("action_") for name in typed if name.startswith("action_")]
    if chosen:
        values["end"] = ", ".join(chosen)
    rows = (
        (typed.get(f"row_{number}_first", ""), typed.get(f"row_{number}_second", ""))
        for number in range(MOST_ROWS_OF_A_FORM + 2 * SPARE_ROWS)
    )
    return StepForm(
        kind=typed.get("step_kind", ""),
        id=step,
        title=typed.get("step_title", ""),
        rationale=typed.get("step_rationale", ""),
        values=values,
        rows=tuple(row for row in rows if any(row)),
    )


def save(visit: Visit) -> Answer:
    """Save what was typed as the draft; what another person saved meanwhile is replaced only where that is wanted."""
    name = visit.parts["flow"]
    read_flow_line(visit, name)
    document = typed_document(visit)
    over = visit.form.get("over", "")
    written = check_flow(visit, document).flow
    if written is not None and written != name:
        raise ConfigError(text("the text is of the flow {written}; here it must be {name}", written=written, name=name))
    save_flow_draft(visit, document, existing_number(over, text("revision")) if over else _revision(visit))
    return Redirect(visit.path, "draft-saved")


def save_new(visit: Visit) -> Answer:
    """Save the first draft of a flow, which makes it."""
    document = typed_document(visit)
    name = check_flow(visit, document).flow
    try:
        if name is not None:
            read_flow_line(visit, name)
    except NotFoundError:
        name = None
    if name is not None:
        raise ConflictError(text("there is a flow {name} already; give this one another name, or edit that", name=name))
    saved = save_flow_draft(visit, document)
    return Redirect(address("flows", saved.flow, "edit"), "draft-saved")


def commit(visit: Visit) -> Answer:
    """Make a version of the draft as it is saved."""
    name = visit.parts["flow"]
    read_flow_line(visit, name)
    document, revision = typed_document(visit), _revision(visit)
    if read_flow_draft(visit, name).document != document:
        raise ConfigError(text("the text is not the draft that is saved; save it first"))
    try:
        committed = commit_flow(visit, name, revision, visit.form.get("accept_warnings", "").strip())
    except InvalidRulesetError as wrong:
        raise refused_shortly(wrong, text("say why it is committed with them")) from wrong
    return Redirect(address("flows", name, "versions", str(committed.number)), "flow-committed")
