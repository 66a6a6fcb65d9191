"""The answer to a decision, made of what is kept of it and nothing else: so it comes out again to the byte."""

from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from fivefold.domain.canonical import canonical_json
from fivefold.risk.engine.explain.policies import PolicySaid, decided
from fivefold.risk.engine.policy_program import policy_program_for
from fivefold.risk.facts.lists import ListVersion
from fivefold.usecases.decisions.inputs import moment_said

ENGINE: Final = "1"
"""Of what decides: another one where the same inputs could come to something else."""


def answered(
    canonical: str, versions: Mapping[str, ListVersion], inputs: pl.DataFrame, kept: Mapping[str, Any]
) -> tuple[PolicySaid, str]:
    """Decide, and write the answer in canonical JSON.

    Args:
        canonical: the policy.
        versions: of the named lists that it reads.
        inputs: the row that it reads.
        kept: everything else that is kept of the decision.
    """
    (said,) = decided(policy_program_for(canonical, versions, kept["base"]), inputs, kept["base"])
    answer = {
        "at": moment_said(kept["at_us"]),
        "engine": ENGINE,
        "entity": kept["entity"],
        "policy": kept["policy"],
        "lists": {name: moment_said(since) for name, since in kept["lists"].items()},
        **kept["said"],
        **said.as_json(),
    }
    return said, canonical_json(answer)
