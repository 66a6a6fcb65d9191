"""What flows on files may ask: policies, rulesets and other flows, from files or from those that ship."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from fivefold.domain.errors import ConfigError
from fivefold.domain.text import perhaps
from fivefold.flows.analysis import AnalysedFlow, with_asked
from fivefold.flows.language import Flow, read_flow
from fivefold.risk.compiler.analysis import AnalysedPolicy, AnalysedRuleset
from fivefold.risk.language.documents import Document
from fivefold.risk.language.policy import Policy
from fivefold.risk.language.reading import read_document
from fivefold.risk.language.ruleset import Ruleset
from fivefold.usecases.portfolio_files.bundled import bundled_rulesets, load_ruleset, text_of


def bundled_flows() -> tuple[str, ...]:
    """Return the names of the flows that ship.

    >>> bundled_flows()
    ('escalation', 'limits', 'onboarding', 'payment', 'reactivation', 'review')
    """
    folder = package_files("fivefold.flows") / "shipped"
    return tuple(sorted(Path(file.name).stem for file in folder.iterdir() if file.name.endswith(".yaml")))


def flow_text(source: str) -> str:
    """Read the text of a flow's file, or of one that ships; ConfigError if *source* is neither."""
    path = Path(source)
    if source in bundled_flows() and not path.exists():
        return (package_files("fivefold.flows") / "shipped" / f"{source}.yaml").read_text("utf-8")
    if not path.is_file():
        names = bundled_flows()
        raise ConfigError(f"{source} is neither a file nor a bundled flow ({', '.join(names)}){perhaps(source, names)}")
    return text_of(path, source)


@dataclass(frozen=True)
class AskedFiles:
    """What flows may ask, by name; rulesets and flows that ship need not be given.

    Attributes:
        policies: those given.
        rulesets: those given.
        flows: those given.
    """

    policies: dict[str, AnalysedPolicy] = field(default_factory=dict)
    rulesets: dict[str, AnalysedRuleset] = field(default_factory=dict)
    flows: dict[str, Flow] = field(default_factory=dict)

    def analysed(self, flow: Flow) -> AnalysedFlow:
        """Analyse a flow together with all that it asks, those that ship included.

        InvalidRulesetError if one that ships cannot be read.
        """
        rulesets, flows = dict(self.rulesets), {**self.flows, flow.name: flow}
        waiting, ship = [flow], (bundled_rulesets(), bundled_flows())
        visited_names = set[str]()
        while waiting:
            one = waiting.pop()
            visited_names.add(one.name)
            for name in one.names_asked("ruleset"):
                if name not in rulesets and name in ship[0]:
                    rulesets[name] = load_ruleset(name)
            for name in one.names_asked("flow"):
                if name not in flows and name in ship[1]:
                    flows[name] = read_flow(flow_text(name), name)
                if name in flows and name not in visited_names:
                    waiting.append(flows[name])
        return with_asked(flow, self.policies, rulesets, flows)


def load_asked(paths: Sequence[Path]) -> AskedFiles:
    """Read the policies, rulesets and flows that flows may ask; the first word of a file says which it is.

    Raises:
        InvalidRulesetError: what is wrong with one of them.
        ConfigError: a file is missing or of none of the three kinds, or two have the same name.
    """
    asked_files = AskedFiles()
    forms: Mapping[str, tuple[type[Any], dict[str, Any], Callable[[Any], Any]]] = {
        "policy": (Policy, asked_files.policies, AnalysedPolicy),
        "ruleset": (Ruleset, asked_files.rulesets, AnalysedRuleset),
        "flow": (Flow, asked_files.flows, lambda flow: flow),
    }
    for path in paths:
        if not path.is_file():
            raise ConfigError(f"{path} is not a file; --asks names the file of a policy, a ruleset or a flow")
        document = Document(text_of(path, str(path)), str(path))
        word = next((word for word in forms if isinstance(document.data, dict) and word in document.data), None)
        if word is None:
            raise ConfigError(f"{path} is not a policy, ruleset or flow: it begins with none of these words")
        form, there, analysed = forms[word]
        definition = read_document(form, document, str(path))
        if definition.name in there:
            raise ConfigError(f"two files have the {word} {definition.name}; give one of them")
        there[definition.name] = analysed(definition)
    return asked_files
