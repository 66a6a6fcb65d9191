"""Import of a JDM graph as the draft of a flow, with notes on the differences and what a person must still complete."""

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
"""The default names of levels."""
_KINDS: Final = {ValueType.NUMBER: "number", ValueType.MONEY: "number", ValueType.TEXT: "text", ValueType.FLAG: "flag"}
KINDS: Final = ("number", "text", "flag")
"""The kinds of values that an input of a graph can have."""
_SCHEMA: Final = {"number": "number", "integer": "number", "string": "text", "boolean": "flag"}
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
_LINE: Final = 110
"""The width of a line of notes, in characters."""


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """Settings of the flow that its graph does not contain.

    Attributes:
        name: the name of the flow.
        entity_type: the type of the entities it decides about.
        levels: the levels of the organisation, lowest first.
        names: for inputs of the graph, a field of the flow, or an input written as in a decision table's header.
        kinds: the kinds of inputs of the graph, if their use does not show it: number, text or flag.
        fields: the types of the entity type's fields, as far as they are known.
        names_called: what messages call the option for `names`.
        kinds_called: what messages call the option for `kinds`.
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
    """A graph imported as a flow.

    Attributes:
        text: the text of the draft, with the notes above it.
        analysed: the flow, analysed.
        notes: how its meaning differs from JDM, which inputs are renamed, and what each end answers.
        left: the findings of lint, for a person to resolve or accept.
        answers: what the graph answers at each end, by the id of the end.
        inputs: the fields of the flow that are inputs of the graph, by their names in the graph.
    """

    text: str
    analysed: AnalysedFlow
    notes: tuple[str, ...]
    left: tuple[Finding, ...]
    answers: Mapping[str, Answers]
    inputs: Mapping[str, str]


def flow_name_of(file_name: str) -> str:
    """Return the default name of a flow, made from the name of the graph's file.

    >>> flow_name_of("Daily limit_2.json")
    'daily-limit-2'
    """
    return PurePath(file_name).stem.lower().replace("_", "-").replace(" ", "-")


def checked_kinds(kinds: Mapping[str, str], called: str) -> Mapping[str, str]:
    """Return *kinds* unchanged; ConfigError, which names the option *called*, if one is not among `KINDS`."""
    for path, kind in kinds.items():
        if kind not in KINDS:
            raise ConfigError(f"{called} {path} is {kind}; it must be number, text or flag")
    return kinds


def import_graph(content: bytes, source: str, wanted: ImportOptions) -> ImportedFlow:
    """Import a JDM graph as the draft of a flow.

    Raises:
        ConfigError: it is not JDM.
        InvalidRulesetError: a part of the graph has no exact equivalent in flows, or *wanted* does not fit the graph;
            every such part is named, by node, row and cell.
    """
    graph = read_graph(content, source)
    faults: list[Finding] = []
    mapped = dict(_mapped(wanted, faults))
    kinds = {**_schema_kinds(graph), **wanted.kinds}
    first = _translated(graph, Facts(mapped, kinds), frozenset(), source)  # shows which names fields take
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
    """Return the declared type of a field: the entity type's, if it is of the kind used, else that kind."""
    if own is None or _KINDS.get(value_type_of(own)) != kind:
        return kind
    return own.model_dump(mode="json") if isinstance(own, OneOf) else own


def _mapped(wanted: ImportOptions, faults: list[Finding]) -> Iterator[tuple[str, ValueOrigin]]:
    """Yield the origins of the inputs that a person mapped, by path; faults are added to *faults*."""
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
    """Return the kinds of values that the schema of the input node declares, by path."""
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
    """Yield the notes of `ImportedFlow`."""
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
    """Return the text of the draft, with the notes above it."""
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
