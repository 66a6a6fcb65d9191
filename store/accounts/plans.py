"""Plans: the limits of tokens, from the shipped YAML file or the operator's (`FIVEFOLD_PLANS_FILE`)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from fivefold.domain.errors import ConfigError
from fivefold.domain.settings import OpenIdSettings
from fivefold.domain.text import unknown_name, why_unreadable
from fivefold.store.tables.accounts import PLAN_CHARACTERS

SHIPPED = Path(__file__).parent / "plans.yaml"
MOST = 10**15
"""The largest limit: it fits in any database's integers, with the amount that one request may add."""
MOST_DAYS = 36_500
CHANGES_PER_MINUTE = 30
"""The default of a plan: more than a person would review."""
Positive = Annotated[int, Field(gt=0, le=MOST)]


class Plan(BaseModel):
    """Limits of a token.

    Attributes:
        rows_per_request: most transactions in one request.
        calls_per_month: most answered requests in a calendar month (UTC).
        users_per_month: most customers scored in a calendar month (UTC).
        requests_per_minute: most requests to the platform's routes in a minute, of each worker; no limit if omitted.
        changes_per_minute: most calls of tools of /mcp that change something in a minute, of each worker; null for no
            limit.
        expires_days: how many days after its creation a program's token of this plan expires; never if omitted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows_per_request: Positive
    calls_per_month: Positive
    users_per_month: Positive
    requests_per_minute: Positive | None = None
    changes_per_minute: Positive | None = CHANGES_PER_MINUTE
    expires_days: Annotated[int, Field(gt=0, le=MOST_DAYS)] | None = None


_PLANS = TypeAdapter(dict[Annotated[str, Field(max_length=PLAN_CHARACTERS)], Plan])


def read_plans(path: Path | None) -> dict[str, Plan]:
    """Read the plans; ConfigError names every invalid field."""
    source = path or SHIPPED
    try:
        plans = _PLANS.validate_python(yaml.safe_load(source.read_text(encoding="utf-8")))
    except ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, detail['loc'])) or 'all of it'}: {_problem_text(detail)}"
            for detail in error.errors()
        ]
        raise ConfigError("\n".join([f"{source} (FIVEFOLD_PLANS_FILE) does not hold plans:", *lines])) from None
    except (OSError, yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: not UTF-8, too many digits
        raise ConfigError(
            f"plans cannot be read from {source}, as FIVEFOLD_PLANS_FILE says: {why_unreadable(error)}"
        ) from None
    if not plans:
        raise ConfigError(f"{source} (FIVEFOLD_PLANS_FILE) holds no plan")
    return plans


def _problem_text(detail: ErrorDetails) -> str:
    """Describe what is wrong with a limit; for an unknown one, list the limits."""
    if detail["type"] != "extra_forbidden":
        return detail["msg"]
    return unknown_name(detail["loc"][-1], "limit", Plan.model_fields)


def plan_named(plans: Mapping[str, Plan], name: str) -> Plan:
    """Find a plan; ConfigError lists the existing ones."""
    if name not in plans:
        raise ConfigError(f"there is no plan {name!r}; plans are {', '.join(plans)}")
    return plans[name]


def require_plan_of_people(openid: OpenIdSettings | None, plans: Mapping[str, Plan]) -> None:
    """Raise ConfigError if the plan of people who sign in by an identity provider does not exist."""
    if openid is not None and openid.plan not in plans:
        raise ConfigError(f"FIVEFOLD_OPENID_PLAN is {openid.plan!r}; it must be one of {', '.join(plans)}")
