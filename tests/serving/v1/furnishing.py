"""An organisation in which every example is answered well: what is put into it before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from fivefold.domain.clock import now_microseconds
from fivefold.serving.v1.path_encoding import path_to
from fivefold.serving.v1.permissions import READERS
from fivefold.store.ingest.entities import entity_named
from fivefold.store.tables.events import EvidenceJob, ValidationJob, ValidationRun
from fivefold.store.tables.flows import FlowRun
from fivefold.usecases.changes.backtests import BACKTESTS
from fivefold.usecases.changes.contents import TagChanged
from fivefold.usecases.changes.proposals import request_change
from fivefold.usecases.flows.replays.jobs import REPLAYS
from fivefold.usecases.ingest.import_progress import begin_import, import_part
from fivefold.usecases.levels.worker import MAX_ATTEMPTS
from fivefold.usecases.rulesets.threshold_reviews import begin_threshold_reviews
from fivefold.usecases.shared.context import Context
from fivefold.usecases.shared.jobs import run_next_job
from tests.serving.v1.examples import COMPANY, CUSTOMER, HALF_YEAR_US, QUARTER, WHY, WORDS
from tests.serving.v1.models.registries import registry
from tests.serving.v1.places import Place, keep, kept, settled
from tests.serving.v1.rulesets.bank_rulesets import document
from tests.sharing import made_once
from tests.usecases.decisions.deciding import CASH, WORTH, cash
from tests.usecases.decisions.deciding import document as policy
from tests.usecases.flows.documents import INQUIRED, INQUIRY, flow_document
from tests.usecases.groups.grouped import WORTH as WORTH_MUCH
from tests.usecases.groups.grouped import document as group
from tests.usecases.platforms import transaction


def furnish(place: Place) -> Place:
    """Give our organisation one of everything that the examples name."""
    registry()  # takes seconds to be made: the first request that reads it would run into its time limit
    customer = path_to("/v1/entities/{t}/{e}", t="customer", e=CUSTOMER)
    (maker,) = place.join("maker", "publisher")
    place.good("PUT", "/v1/entity-types/company", {"fields": {"size": "number"}}, role="admin")
    place.good("PUT", customer, {"attributes": {"country": "NO"}}, role="app")
    place.good("PUT", path_to("/v1/entities/{t}/{e}", t="company", e=COMPANY), {}, role="app")
    place.good("PUT", f"{customer}/tags/kept", {}, role="app")
    place.good("PUT", "/v1/entity-types/customer", {"links": {"household": "shared"}}, role="admin")
    place.good("POST", "/v1/links/customer", [{"type": "household", "from": CUSTOMER, "to": "H0"}], role="app")
    place.good("POST", "/v1/transactions", [transaction(1, CUSTOMER)], role="app")
    listed(place)
    rates = [{"currency": "AED", "date": "2024-06-28", "rate": 0.25}]
    place.good("POST", "/v1/rates/tables", {"rates": rates, "source": "Ourselves"}, role="publisher")
    for name, remark, version in (("retail", "a", 1), ("second", "c", 1), ("second", "d", 2)):
        publish(place, maker, name, remark)
        activate(place, name, version)
    begin_threshold_reviews(place.engine, now_microseconds() + HALF_YEAR_US)
    publish(place, maker, "retail", "b")
    save(place, maker, "drafted", "d")
    place.good("POST", "/v1/rulesets/drafted/backtests", {}, token=maker)
    place.good("GET", f"{customer}/risk?freshness=now", role="app")
    challenged(place)
    override(place)
    proposed(place, maker)
    revocation(place)
    proposed_by_investigator(place)
    filters = {"kind": "rise", "days": "7"}
    for role in READERS:
        place.good("PUT", "/v1/queue/views/kept", {"filters": filters}, role=role)
    place.good("POST", "/v1/webhooks", {"url": "https://example.com/hook"}, role="admin")
    validated(place)
    decided(place, maker)
    flowing(place, maker)
    for when in ({"value": "score", "at_least": 3.5}, WORTH_MUCH):
        body = {"document": group(when, "high-ones", purpose="both"), "reason": WHY, "accept_warnings": WHY}
        place.good("POST", "/v1/groups", body, token=maker)
    token_asked_for(place)
    imported(place)
    return place


def listed(place: Place) -> None:
    """Add two versions of a list, before anything decides."""
    versions = (("2024-01-01", ["IR", "KP", "MM", "Zoë Ltd"]), ("2025-01-01", ["BY", "IR", "SY", "Zoë Ltd", "kp"]))
    for since, members in versions:
        body = {"since": since, "members": members, "title": "Countries that we watch", "source": "Ourselves"}
        place.good("POST", "/v1/lists/kept/versions", body, role="publisher")


@contextmanager
def furnished_once(folder: Path, kind: str = "sqlite") -> Iterator[Place]:
    """Open a copy of a furnished place, which one process makes for all: that takes seconds."""

    def make(made: Path) -> None:
        with settled(made, kind) as place:
            keep(furnish(place), made)

    registry()  # a place's requests read it, each within its time limit
    with kept(made_once(f"furnished-{kind}", make), folder) as place:
        yield place


def imported(place: Place) -> None:
    """Note an import of a file as it is noted while it goes on."""
    about = {"content": "tags", "entity_type": "customer", "file": "tags.csv"}
    context = Context(place.engine, place.actor("admin"))
    state = begin_import(context, "import-0", about)
    with import_part(context, state) as (_, note):
        note(replace(state, rows=3, new=2, refused=1))


def token_asked_for(place: Place) -> None:
    """Ask for two tokens of programs, by somebody else than the admin who decides on them."""
    (second,) = place.join("second admin", "admin")
    for label in ("till", "web shop"):
        body = {"role": "app", "plan": "standard", "label": label}
        place.good("POST", "/v1/token-requests", body, token=second)


def decided(place: Place, maker: str) -> None:
    """Let a policy decide on a transaction, and propose its next version."""
    for number, rules in enumerate(([CASH], [CASH, WORTH]), start=1):
        body = {"document": policy(rules), "reason": WHY, "accept_warnings": WHY}
        place.good("POST", "/v1/policies", body, token=maker)
        if number == 1:
            place.good("POST", "/v1/policies/payments/versions/1/approve", {"reason": WHY}, role="publisher")
    asked = {"policy": "payments", "external_id": CUSTOMER, "transaction": cash()}
    place.good("POST", "/v1/decisions", asked, role="app")


def quarantined(session: Session, number: int) -> None:
    """Let a run stand as it does after as many errors as it is tried."""
    run = session.get_one(FlowRun, number)
    run.state, run.error, run.due_us, run.asks, run.asked_us = "quarantined", "RuntimeError", None, None, None
    run.attempts = MAX_ATTEMPTS


def flowing(place: Place, maker: str) -> None:
    """Let two versions of a flow act in turn, and a third one run as a shadow; another flow has a draft."""
    for number in (1, 2, 3):
        body = {"document": flow_document("care", title=f"Care {number}")}
        revision = place.good("PUT", "/v1/flows/care/draft", body, token=maker)["revision"]
        place.good("POST", "/v1/flows/care/commit", {"revision": revision}, token=maker)
        given = {"version": number, "reason": WHY}
        place.good("POST", f"/v1/flows/care/{'activate' if number < 3 else 'shadow'}", given, role="publisher")
    place.good("POST", "/v1/flows", {"document": flow_document("written")}, token=maker)
    of_publishers = {**INQUIRY, "person": {**INQUIRY["person"], "role": "publisher"}}
    for name, step in (("inquiry", INQUIRY), ("release", of_publishers)):
        place.good("POST", "/v1/flows", {"document": flow_document(name, [step], examples=INQUIRED)}, token=maker)
        place.good("POST", f"/v1/flows/{name}/commit", {"revision": 1, "accept_warnings": WHY}, token=maker)
        place.good("POST", f"/v1/flows/{name}/activate", {"version": 1, "reason": WHY}, role="publisher")
    for name in ("care", "inquiry", "inquiry", "release", "inquiry", "release"):
        place.good("POST", f"/v1/flows/{name}/run", {"type": "customer", "external_id": CUSTOMER}, role="app")
    with Session(place.engine) as session, session.begin():
        quarantined(session, 6)
    place.good("POST", "/v1/flow-runs/4/answer", {"answer": "nay", "reason": WHY}, role="investigator")
    place.good("POST", "/v1/flow-runs/7/answer", {"answer": "nay", "reason": WHY}, role="publisher")
    place.good("POST", "/v1/flows/care/replays", {"version": 3}, role="publisher")
    assert run_next_job(place.engine, REPLAYS)
    place.good("POST", "/v1/flows/care/replays", {"version": 1, "as_of": "2026-01-01"}, role="publisher")


def validated(place: Place) -> None:
    """Register a change, by somebody who has no other part in this, and validate after it."""
    (registrar,) = place.join("registrar", "approver")
    body = {"kind": "product", "description": "Loans"}
    place.good("POST", "/v1/material-changes", body, token=registrar)
    place.good("POST", "/v1/validations", QUARTER, role="publisher")
    with Session(place.engine) as session, session.begin():
        made = session.scalars(select(ValidationRun)).one()
        of = {"organisation_id": made.organisation_id, "from_us": made.from_us, "until_us": made.until_us}
        asked = {"reason": made.trigger, "requested_by": "member:2", "requested_us": made.made_us, "validation_id": 1}
        counts = {"attempts": 1, "done": 1, "total": 1, "finished_us": made.made_us}
        session.add(ValidationJob(state="done", **of, **asked, **counts))
        asked = {"organisation_id": made.organisation_id, "quarter": "2026Q3", "requested_us": made.made_us}
        counts |= {"content": b"PK", "manifest_sha256": "0f" * 32, "size_bytes": 2, "findings": 0}
        session.add(EvidenceJob(state="done", **asked, **counts, requested_by="member:1"))


def proposed(place: Place, maker: str) -> None:
    """Propose three versions of a list that no ruleset reads."""
    for year in (2031, 2032, 2033):
        body = {"since": f"{year}-01-01", "members": ["NO"], "title": "Spare", "source": "Ourselves", "reason": WHY}
        place.good("POST", "/v1/lists/spare/versions", body, token=maker)


def challenged(place: Place) -> None:
    """Contest the first assessment, which waits, and another one, which was settled."""
    place.good("POST", "/v1/assessments/1.1/challenges", {"words": WORDS}, role="investigator")
    of_company = place.good("GET", path_to("/v1/entities/{t}/{e}/risk", t="company", e=COMPANY), role="admin")
    made = place.good(
        "POST", f"/v1/assessments/{of_company['assessment']}/challenges", {"words": WORDS}, role="investigator"
    )
    settled_as = {"outcome": "confirmed", "reason": WHY}
    place.good("POST", f"/v1/challenges/{made['id']}/settle", settled_as, role="approver")


def override(place: Place) -> None:
    """Ask for three levels; the last one holds."""
    path = path_to("/v1/entities/{t}/{e}/overrides", t="company", e=COMPANY)
    for reason in (f"{WHY} of one", f"{WHY} of two", WHY):
        made = place.good("POST", path, {"level": "high", "reason": reason}, role="investigator")
    place.good("POST", f"/v1/overrides/{made['id']}/approve", {}, role="approver")


def revocation(place: Place) -> None:
    """Propose to end the override that holds: the fourth proposal."""
    place.good("POST", "/v1/overrides/3/revoke", {"reason": WHY}, token=place.join("revoker", "approver")[0])


def proposed_by_investigator(place: Place) -> None:
    """Propose to end a tag, as if a rule read it: the fifth proposal."""
    path = path_to("/v1/entities/{t}/{e}", t="company", e=COMPANY)
    place.good("PUT", f"{path}/tags/disputed", {}, role="app")
    context = Context(place.engine, place.actor("investigator"), now_microseconds)
    with context.reading() as session:
        entity = entity_named(session, context.organisation_id, "company", COMPANY).id
    assert request_change(context, TagChanged(entity, "disputed", None, True), WHY, {}).proposal


def save(place: Place, maker: str, name: str, remark: str) -> int:
    """Save a draft; give its revision."""
    body = {"document": document(name, remark=remark)}
    return int(place.good("PUT", f"/v1/rulesets/{name}/draft", body, token=maker)["revision"])


def publish(place: Place, maker: str, name: str, remark: str) -> None:
    """Save and commit a ruleset, and backtest it."""
    revision = save(place, maker, name, remark)
    body = {"revision": revision, "accept_warnings": WHY}
    number = place.good("POST", f"/v1/rulesets/{name}/commit", body, token=maker)["number"]
    place.good("POST", f"/v1/rulesets/{name}/backtests", {"version": number}, token=maker)
    assert run_next_job(place.engine, BACKTESTS)


def activate(place: Place, name: str, version: int) -> None:
    """Let a version decide, by somebody who did not write it."""
    place.good("POST", f"/v1/rulesets/{name}/activate", {"version": version, "reason": WHY}, role="publisher")
