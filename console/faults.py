"""What is wrong with a field, written at that field: for every form alike, and only in the form that was sent."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import escape

from fivefold.console.visit import Visit

_FORM = re.compile(r'(?s)<form method="post"[^>]*>.*?</form>')
_FIELD = re.compile(r"<(input|select|textarea)\b[^>]*>")
_GOES_TO = re.compile(r'\b(?:form)?action="([^"?]*)')


@dataclass(frozen=True)
class _Field:
    """A field in the HTML of a form: where its tag begins and ends, and the tag."""

    element: str
    start: int
    end: int
    tag: str

    def attribute(self, name: str) -> str:
        match = re.search(rf'\s{name}="([^"]*)"', self.tag)
        return match[1] if match else ""


def with_fault(html: str, visit: Visit) -> str:
    """Mark the refused field in the page that is shown again; nothing if several fields were refused.

    The field is marked as invalid, has the focus, and is described by the problem, which follows it. If a page has
    several forms of one action, the one whose hidden fields are most similar to the sent ones is marked.
    """
    forms = [form for form in _FORM.finditer(html) if _wrong_field(form[0], visit)] if visit.problem_field else []
    if not forms:
        return html
    refused = max(forms, key=lambda form: _likeness(form[0], visit))
    before = html[: refused.start()].replace(" autofocus", "", 1)  # of the problem, which has the focus without a field
    return before + _marked(refused[0], visit) + html[refused.end() :]


def _fields(form: str, *, hidden: bool) -> Iterator[_Field]:
    for match in _FIELD.finditer(form):
        field = _Field(match[1], match.start(), match.end(), match[0])
        if (field.attribute("type") == "hidden") == hidden:
            yield field


def _wrong_field(form: str, visit: Visit) -> _Field | None:
    if visit.action not in {address.rpartition("/")[2] for address in _GOES_TO.findall(form)}:
        return None
    name = str(escape(visit.problem_field))
    return next((field for field in _fields(form, hidden=False) if field.attribute("name") == name), None)


def _likeness(form: str, visit: Visit) -> int:
    hidden = ((field.attribute("name"), field.attribute("value")) for field in _fields(form, hidden=True))
    return sum(str(escape(visit.form.get(name, ""))) == value for name, value in hidden)


def _marked(form: str, visit: Visit) -> str:
    field = _wrong_field(form, visit)
    if field is None:
        return form
    fault = f"{field.attribute('id') or escape(visit.problem_field)}-fault"
    described = " ".join(filter(None, (fault, field.attribute("aria-describedby"))))
    plain = re.sub(r' (?:aria-describedby="[^"]*"|autofocus)', "", field.tag).removesuffix(">")
    tag = f'{plain} aria-invalid="true" aria-describedby="{described}" autofocus>'
    end = field.end if field.element == "input" else form.index(f"</{field.element}>", field.end)
    label = form.rfind("<label", 0, field.start)
    if label > form.rfind("</label>", 0, field.start):  # a box within its label: its name is without what is wrong
        end = form.index("</label>", end)
    end = form.index(">", end) + 1 if form[end : end + 2] == "</" else end
    message = f'<p class="fault" id="{fault}">{escape(visit.problem)}</p>'
    return form[: field.start] + tag + form[field.end : end] + message + form[end:]
