"""A graph of JDM as the draft of a flow, with what is to be known of it and what is left to be said by a person."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from pydantic import TypeAdapter

from fivefold.domain.errors import ConfigError, Finding, InvalidRulesetError
from fivefold.domain.text import count_text
from fivefold.flows.analysis import AnalysedFlow, analyse_flow
from fivefold.flows.doubts import lint_flow
from fivefold.flows.foreign.graph import Graph, read_graph
from fivefold.flows.foreign.scope import Facts, ValueOrigin
from fivefold.flows.foreign.translation import Answers, Translation
from fivefold.flows.language import read_flow
from fivefold.flows.outside.language import Fact
from fivefold.risk.compiler.value_types import vocabulary
from fivefold.risk.governance.tables.cells import CellError
from fivefold.risk.governance.tables.columns import TableForm, in_reading_order, read_header
from fivefold.risk.governance.tables.grid import flow_text
from fivefold.risk.language.base import WHEN_USED
from fivefold.risk.language.documents import Document
from fivefold.risk.language.fields import FieldType, OneOf, ValueType, value_type_of

Data = dict[str, Any]
LEVELS: Final = ("low", "medium", "high", "critical")
"""What levels are called where nobody says it."""
_KINDS: Final = {ValueType.NUMBER: "number", ValueType.MONEY: "number", ValueType.TEXT: "text", ValueType.FLAG: "flag"}
KINDS: Final = ("number", "text", "flag")
"""What an input of a graph can be."""
_SCHEMA: Final = {"number": "number", "integer": "number", "string": "text", "boolean": "flag"}
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
_LINE: Final = 110
"""Letters of a line of notes."""


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a graph does not say of the flow that it becomes.

    Attributes:
        name: of the flow.
        entity_type: what it decides about.
        levels: those of the organisation, lowest first.
        names: what inputs of the graph are here: a field, or an input as in the header of a decision table.
        kinds: what inputs of the graph are, where their use does not tell: number, text or flag.
        fields: what the fields of the entity type are, as far as that is known.
        names_called: what a person gives the names by, for messages.
        kinds_called: the same of the kinds.
    """

    name: str
    entity_type: str = "customer"
    levels: tuple[str, ...] = LEVELS
    names: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, FieldType] = field(default_factory=dict)
    names_called: str = "--map"
    kinds_called: str = "--kind"


@dataclass(frozen=True)
class ImportedFlow:
    """A graph as a flow.

    Attributes:
        text: of the draft, with the notes above it.
        analysed: the flow.
        notes: what means something else in JDM, and what stands where.
        left: what lint still doubts, for a person to write or to accept.
        answers: what the graph answers at each end, by its id.
        inputs: the fields of the flow that are inputs of the graph, by their names in it.
    """

    text: str
    analysed: AnalysedFlow
    notes: tuple[str, ...]
    left: tuple[Finding, ...]
    answers: Mapping[str, Answers]
    inputs: Mapping[str, str]


def flow_name_of(file_name: str) -> str:
    """Give the name that a flow has where none is given: that of the graph's file.

    >>> flow_name_of("Daily limit_2.json")
    'daily-limit-2'
    """
    return PurePath(file_name).stem.lower().replace("_", "-").replace(" ", "-")


def checked_kinds(kinds: Mapping[str, str], called: str) -> Mapping[str, str]:
    """Give kinds of inputs as they are; ConfigError, with what they are *called*, where one is not a kind of JDM."""
    for path, kind in kinds.items():
        if kind not in KINDS:
            raise ConfigError(f"{called} {path} is {kind}; it must be number, text or flag")
    return kinds


def import_graph(content: bytes, source: str, wanted: ImportOptions) -> ImportedFlow:
    """Make a flow of a graph of JDM.

    Raises:
        ConfigError: it is not JDM.
        InvalidRulesetError: flows cannot say exactly what it says; all of that is named, by node, row and cell.
    """
    graph = read_graph(content, source)
    faults: list[Finding] = []
    mapped = dict(_mapped(wanted, faults))
    kinds = {**_schema_kinds(graph), **wanted.kinds}
    first = _translated(graph, Facts(mapped, kinds), frozenset(), source)  # tells which names fields take
    facts = Facts(mapped, kinds)
    done = _translated(graph, facts, frozenset(str(each.data["field"]) for each in first[1]), source)[0]
    faults += done.findings
    for path, origin in facts.fields.items():
        if facts.kind(origin) is None:
            faults.append(
                Finding(
                    "the graph", f"reads {path}, and nothing says what it is; say {wanted.kinds_called} {path}=text"
                )
            )
    for path in sorted({*wanted.names, *wanted.kinds} - facts.paths_read):
        called = wanted.names_called if path in wanted.names else wanted.kinds_called
        faults.append(Finding(called, f"names {path}, which the graph does not read"))
    if faults:
        raise InvalidRulesetError(list(dict.fromkeys(faults)), source)
    return _flow_of(done, facts, source, wanted)


def _translated(
    graph: Graph, facts: Facts, names: frozenset[str], source: str
) -> tuple[Translation, list[ValueOrigin]]:
    done = Translation(graph, facts, names, source)
    done.run()
    return done, list(facts.fields.values())


def _flow_of(done: Translation, facts: Facts, source: str, wanted: ImportOptions) -> ImportedFlow:
    fields = {str(each.data["field"]): facts.kind(each) for each in facts.fields.values()}
    steps = done.steps
    notes = tuple(_notes(done, facts))
    declared = {name: _declared(wanted.fields.get(name), str(kind)) for name, kind in fields.items()}
    text = _written(wanted, source, declared, steps, notes)
    analysed = analyse_flow(text, source)
    if analysed.errors:
        raise InvalidRulesetError(list(analysed.errors), source)
    left = tuple(lint_flow(analysed, None, Document(text, source)))
    inputs = {path: str(each.data["field"]) for path, each in facts.fields.items()}
    return ImportedFlow(text, analysed, notes, left, done.answers, inputs)


def _declared(own: FieldType | None, kind: str) -> Any:
    """Give what a field is declared as: as its entity type has it where that is such a kind, else as it is used."""
    if own is None or _KINDS.get(value_type_of(own)) != kind:
        return kind
    return own.model_dump(mode="json") if isinstance(own, OneOf) else own


def _mapped(wanted: ImportOptions, faults: list[Finding]) -> Iterator[tuple[str, ValueOrigin]]:
    """Give what inputs are here that a person names."""
    base = {"flow": wanted.name, "title": "T", "entity_type": wanted.entity_type, "levels": list(wanted.levels)}
    names = vocabulary(read_flow(_lines({**base, "steps": [{"id": "end", "title": "End", "end": []}]}), "the flow"))
    form = TableForm(
        whole="graph",
        number="row",
        outcomes=(),
        needed=(),
        below=(),
        inputs=TypeAdapter(Fact, config=WHEN_USED),
        most_rows=0,
    )
    for path, target in wanted.names.items():
        if _FIELD.fullmatch(target):
            yield path, ValueOrigin({"field": target}, f"the field {target}", wanted.kinds.get(path), path)
            continue
        try:
            fact, kind = read_header(target, names, form)
        except CellError as error:
            faults.append(Finding(f"{wanted.names_called} {path}", str(error)))
            continue
        if kind not in _KINDS:
            faults.append(
                Finding(f"{wanted.names_called} {path}", f"is {kind.value}, and JDM compares numbers, texts and flags")
            )
            continue
        data = fact.model_dump(mode="json", by_alias=True, exclude_none=True)
        yield path, ValueOrigin(data, target, _KINDS[kind])


def _schema_kinds(graph: Graph) -> dict[str, str]:
    """Take from the schema of the input what values are, as far as it says that plainly."""
    schema = {} if graph.begins is None else graph.begins.schema
    kinds: dict[str, str] = {}
    waiting: list[tuple[str, Any]] = [("", schema)]
    while waiting:
        path, part = waiting.pop()
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind in _SCHEMA and path:
            kinds[path] = _SCHEMA[kind]
        below = part.get("properties") if isinstance(part, dict) else None
        for name, each in below.items() if isinstance(below, dict) else ():
            waiting.append((f"{path}.{name}" if path else str(name), each))
    return kinds


def _notes(done: Translation, facts: Facts) -> Iterator[str]:
    """Say what means something else there, and what stands where."""
    if done.open:
        at = ", ".join(sorted(set(done.open)))
        yield (
            "A missing value: in JDM a row or a way that compares it does not hold, and the next one decides. Here the "
            f"run fails, and says what is missing, unless on_unknown is written: at {at}."
        )
    if done.denied:
        places = "; ".join(dict.fromkeys(done.denied))
        yield f"What is not something ({places}): in JDM that can hold for a missing value, and here it is unknown."
    renamed = [f"{path} is {each.data['field']}" for path, each in facts.fields.items() if path != each.data["field"]]
    if renamed:
        yield f"Inputs that are called otherwise here: {', '.join(renamed)}."
    copies = [f"{where} {count} times" for where, count in done.copies.items() if count > 1]
    if copies:
        yield f"Written once for each way on which other values come: {', '.join(copies)}."
    for end, answers in done.answers.items():
        parts = [f"{name} is {origin.words}" for name, origin in answers.values.items()]
        parts += ["what came in"] if answers.inputs else []
        yield f"The end {end} answers {', '.join(parts) or 'nothing'}."
    yield "JDM answers values; a flow acts. No end has actions: say which follow, and what follows where a run fails."


def _written(
    wanted: ImportOptions, source: str, fields: Mapping[str, Any], steps: Sequence[Data], notes: Sequence[str]
) -> str:
    """Write the draft, with what is to be known above it."""
    head: Data = {
        "flow": wanted.name,
        "title": wanted.name.replace("-", " ").capitalize(),
        "entity_type": wanted.entity_type,
        "rationale": f"From {source}, a graph of JDM.",
        **({"fields": fields} if fields else {}),
        "levels": list(wanted.levels),
        "steps": list(steps),
    }
    above = [f"From {source}: {count_text(len(steps), 'step')}. What is to be known:", *notes]
    return "".join(f"# {line}\n" for note in above for line in _wrapped(note)) + _lines(head)


def _wrapped(text: str) -> Iterator[str]:
    line = ""
    for word in " ".join(text.split()).split(" "):
        if line and len(line) + len(word) >= _LINE:
            yield line
            line = " "
        line = f"{line} {word}".lstrip() if line.strip() else f"{line}{word}"
    yield line


def _lines(document: Data) -> str:
    """Write a flow in YAML, a line for each way and row."""
    lines: list[str] = []
    for word, value in document.items():
        if word != "steps":
            lines.append(f"{word}: {flow_text(value)}")
            continue
        lines.append("steps:")
        for step in value:
            lines += _step_lines(step)
    return "\n".join(lines) + "\n"


def _step_lines(step: Data) -> Iterator[str]:
    sign = "- "
    for word, value in step.items():
        if word == "route":
            yield "    route:"
            yield from (f"      - {flow_text(in_reading_order(way))}" for way in value)
        elif word == "table":
            yield "    table:"
            yield f"      gives: {flow_text(value['gives'])}"
            yield "      rows:"
            yield from (f"        - {flow_text(in_reading_order(row))}" for row in value["rows"])
            yield f"      otherwise: {flow_text(value['otherwise'])}"
        elif word == "calculate":
            yield "    calculate:"
            yield from (f"      {name}: {flow_text(in_reading_order(each))}" for name, each in value.items())
        else:
            yield f"  {sign}{word}: {flow_text(value)}"
            sign = "  "
