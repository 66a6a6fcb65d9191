"""Small flows written by hand, and programs of them."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from fivefold.flows.analysis import AnalysedFlow, with_asked
from fivefold.flows.language import read_flow
from fivefold.flows.program import FlowProgram, compile_flow
from fivefold.risk.compiler.analysis import AnalysedPolicy, analyse_text

Data = dict[str, Any]
LEVELS = ["low", "medium", "high"]
ACTIONS: list[Data] = [
    {"id": "flag", "title": "Flag", "status": "flagged"},
    {"id": "block", "title": "Block", "status": "blocked"},
    {"id": "watch", "title": "Watch", "tag": "watched"},
    {"id": "refuse", "title": "Refuse", "status": "blocked", "relationship": "refused"},
]
END: Data = {"id": "done", "title": "Done", "end": ["flag"]}
NOTHING: Data = {"id": "nothing", "title": "Nothing", "end": []}
HIGH: Data = {"level": "in_force", "at_least": "high"}


def document(*steps: Data, **parts: Any) -> Data:
    """Write a flow whose parts are those given or plain ones."""
    return {
        "flow": "small",
        "title": "Small",
        "rationale": "Because.",
        "entity_type": "customer",
        "fields": {"country": "country", "income": "number", "born": "date", "words": ["text"]},
        "transaction_fields": {"operation": "text"},
        "levels": LEVELS,
        "actions": ACTIONS,
        "on_failure": ["flag"],
        **parts,
        "steps": [{"title": f"Step {number}", "rationale": "So.", **step} for number, step in enumerate(steps)],
    }


def text_of(written: Data) -> str:
    return json.dumps(written, default=_number, ensure_ascii=False)


def _number(value: Decimal) -> float:
    return float(value)


def analysed(
    written: Data,
    policies: Mapping[str, AnalysedPolicy] | None = None,
    rulesets: Sequence[Data] = (),
    flows: Sequence[Data] = (),
) -> AnalysedFlow:
    asked = {each["ruleset"]: analyse_text(text_of(each)) for each in rulesets}
    others = {each["flow"]: read_flow(text_of(each)) for each in flows}
    return with_asked(read_flow(text_of(written)), policies or {}, asked, others)


def program(
    written: Data,
    policies: Mapping[str, AnalysedPolicy] | None = None,
    rulesets: Sequence[Data] = (),
    flows: Sequence[Data] = (),
) -> FlowProgram:
    return compile_flow(analysed(written, policies, rulesets, flows), {}, "EUR")
