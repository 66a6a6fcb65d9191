"""Pages of the value model: what training stored, side by side, and why something is not there."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from fivefold.charts.series import SeriesFigure, series_plot
from fivefold.console.models import versions
from fivefold.console.rendering import environment
from fivefold.console.visit import Visit
from fivefold.domain.errors import RegistryError
from fivefold.domain.settings import Settings
from fivefold.models import promotions
from fivefold.models.registry import CHAMPION, JUDGED_AS_OF_TAG, JUDGED_HASH_TAG, Registry
from fivefold.store.tables.accounts import Member
from fivefold.store.tables.entities import OrganisationSettings
from fivefold.usecases.audit.verify import verify
from tests.console.visitors import Visitor, pages
from tests.serving.v1.models.predicted import add_predicted
from tests.serving.v1.models.registries import made
from tests.serving.v1.places import OURS, THEIRS, Place, routes

PAGE = "/console/models"


@pytest.fixture
def publisher(furnished: Place) -> Visitor:
    return Visitor(furnished).sign_in("publisher")


def test_the_version_that_serves_is_told_with_who_and_why(publisher: Visitor) -> None:
    publisher.go(PAGE)
    assert "Version 1 serves since 3 June 2026 , instead of version 4, by ann (501)." in publisher.text
    assert "4 challenger" in publisher.text
    assert "0.9120" in publisher.text
    assert "keeps the champion against version 1" in publisher.text
    assert "Scored customers are counted by model, including those of other organisations" in publisher.text
    rows = [link for link in publisher.links() if link.startswith(f"{PAGE}/")]
    assert [link.rpartition("/")[2] for link in rows] == ["1", "realised", "4", "3", "2", "1"], (
        "the champion and what came of it, then the newest first"
    )


def test_two_versions_stand_side_by_side_on_the_same_window(publisher: Visitor) -> None:
    publisher.go(f"{PAGE}/2")
    text = publisher.text
    assert "The gate allows it to serve instead of version 1." in text
    assert "normalised Gini 0.9120 beats champion 0.9010" in text
    assert "version 1 0.9010 0.8800 – +0.0110 +0.0040" in text
    assert "Captured by the top tenth, as a share of the maximum" in text, "of all it is what the curve says beside it"
    assert "5 of 75 customers of the window are in another segment than by version 1." in text
    assert "Top none" in text
    assert "Last balance balance 0.420 0.310" in text
    assert "off by 5.0 % of the money" in text
    page = publisher.page.text
    assert page.count('<polyline class="curve') == 5
    assert 'role="img"' in page
    assert "&lt;b&gt;other&lt;/b&gt;" in page, "a card is text"


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [(5.0, ["0", "2.5", "5"]), (0.4, ["0", "0.2", "0.4"]), (48_000.0, ["0", "24,000", "48,000"])],
)
def test_the_axis_of_small_sums_has_the_digits_of_its_heights(highest: float, ticks: list[str]) -> None:
    plot = series_plot([SeriesFigure(label="1", value=highest, limit=0.0)], (0.0, 0.0))
    page = environment().get_template("models/calibration.html").module.calibration("own", "Version 1", plot, "")  # type: ignore[attr-defined]  # a macro
    assert re.findall(r'text-anchor="end">([^<]*)<', page) == ticks


@pytest.mark.parametrize(
    ("version", "why"),
    [
        (1, "none was stored with this version"),
        (4, "comparison.json is damaged: JSONDecodeError"),
    ],
)
def test_a_comparison_that_is_not_there_is_told_with_its_reason(publisher: Visitor, version: int, why: str) -> None:
    assert f"There is no comparison: {why}" in publisher.go(f"{PAGE}/{version}").text
    assert "The card is missing." in publisher.text


def test_a_version_that_is_not_there_is_not_found(publisher: Visitor) -> None:
    assert publisher.go(f"{PAGE}/9").page.status_code == 404
    assert "there are: 4, 3, 2, 1" in publisher.text
    assert publisher.go(f"{PAGE}/0").page.status_code == 422


def test_a_machine_without_a_registry_says_so(publisher: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages()[1], "_registry", lambda: None)
    assert "No model has been trained yet." in publisher.go(PAGE).text
    assert publisher.go(f"{PAGE}/1").page.status_code == 404


def test_a_registry_that_does_not_answer_is_no_empty_list(publisher: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise RegistryError("away")

    monkeypatch.setattr(pages()[1], "_registry", away)
    assert publisher.go(PAGE).page.status_code == 503
    assert publisher.place.ask("GET", "/v1/models", role="publisher").status_code == 200


@pytest.fixture
def admin(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Visitor:
    """An administrator of the only organisation with members, before a registry whose versions load."""
    own = made(tmp_path / "registry")
    monkeypatch.setattr(promotions, "_require_loads", lambda *_: None)  # these versions have no model behind them
    monkeypatch.setattr(pages()[1], "_registry", lambda: own)
    with Session(place.engine) as session, session.begin():
        session.execute(update(Member).where(Member.organisation_id == place.organisations[THEIRS]).values(left_us=1))
    return Visitor(place).sign_in("admin")


def test_drift_is_shown_to_the_only_organisation_with_members(
    admin: Visitor, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_drift", lambda _: versions.DriftHalf(
        version=1, since="2026-11-01", customers=137, least=500, furthest=[]
    ))  # fmt: skip
    assert (
        "137 in the week with the most of them; a comparison with the customers of the training needs 500"
        in admin.go(PAGE).text
    )
    with Session(place.engine) as session, session.begin():
        theirs = Member.organisation_id == place.organisations[THEIRS]
        session.execute(update(Member).where(theirs).values(left_us=None))
    assert "137" not in admin.go(PAGE).text
    assert "including those of other organisations" in admin.text


def promoted(place: Place) -> list[tuple[str, str]]:
    """Who changed the model, by the audit log of our organisation."""
    entries = place.good("GET", "/v1/audit", role="admin", params={"limit": 1000})
    return [(each["action"], each["actor"]) for each in entries if each["action"].startswith("model.")]


def test_a_version_is_promoted_and_rolled_back_with_a_reason_under_the_person_s_name(admin: Visitor) -> None:
    before = verify(admin.place.engine, print).findings  # of rows that the place was furnished with
    admin.go(f"{PAGE}/2").submit("/promote", reason="<i>better</i> in autumn")
    assert "This version serves from now on." in admin.text
    assert "Promote this version" not in admin.text
    admin.go(PAGE)
    assert "Version 2 serves since" in admin.text
    assert "by the admin" in admin.text
    assert "&lt;i&gt;better&lt;/i&gt; in autumn" in admin.page.text
    admin.submit("/rollback", reason="complaints")
    assert "The earlier version serves again." in admin.text
    assert "Version 1 serves since" in admin.text
    who = f"member:{admin.place.members[OURS, 'admin']}"
    assert sorted(promoted(admin.place)) == [("model.promoted", who), ("model.rolled_back", who)]
    assert verify(admin.place.engine, print).findings == before


def test_the_figures_of_a_refitted_version_are_said_to_be_of_the_judged_model(
    admin: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learnt from the window on which the other was judged: nothing may claim the opposite."""
    assert "not used for training." in admin.go(f"{PAGE}/2").text
    own, moment = pages()[1]._registry(), "1767225600000000"
    own.client.set_model_version_tag(own.name, "2", JUDGED_HASH_TAG, "cd")
    own.client.set_model_version_tag(own.name, "2", JUDGED_AS_OF_TAG, moment)
    text = admin.go(f"{PAGE}/2").text
    assert "The figures are those of the judged model, which learnt nothing after 1 January 2026" in text
    assert "This version was refitted with its settings on everything up to" in text
    assert "used to train this version, but not the judged model." in text
    assert "not used for training" not in text
    for heading in ("the judged model 0.9120", "The judged model: predicted", "then by the judged model"):
        assert heading in text
    assert "this version 0." not in text
    assert "Version 2: predicted" not in text
    assert "1 January 2026 as the judged model; refitted on everything up to" in admin.go(PAGE).text
    monkeypatch.setattr(routes()[1], "_registry", lambda: own)
    line = admin.place.good("GET", "/v1/models/2", role="publisher")
    assert line["judged_as_of"].startswith("2026-01-01T00:00:00")
    lines = {each["number"]: each for each in admin.place.good("GET", "/v1/models", role="publisher")}
    assert lines[2]["judged_as_of"] == line["judged_as_of"]
    assert lines[1]["judged_as_of"] is None


def test_a_version_that_is_not_there_is_not_promoted(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes()[1], "_registry", pages()[1]._registry)
    body = {"version": 9, "reason": "better"}
    answer = admin.place.ask("POST", "/v1/model-promotions", body, role="admin")
    assert (answer.status_code, "has no version 9; there are: 4, 3, 2, 1" in answer.text) == (404, True), answer.text
    assert promoted(admin.place) == []


def test_what_the_gate_refused_needs_a_tick_and_a_reason(admin: Visitor) -> None:
    admin.go(f"{PAGE}/3").submit("/promote", reason="mine")
    assert admin.page.status_code == 409
    assert "the gate said: the champion stays" in admin.text
    assert "--force" not in admin.text
    assert 'value="mine"' in admin.page.text, "what was typed stays"
    assert admin.submit("/promote", reason=" ", force="yes").page.status_code == 422
    admin.submit("/promote", reason="a court", force="yes")
    assert "against the gate" in admin.go(PAGE).text


def test_a_form_that_another_person_overtook_changes_nothing(admin: Visitor) -> None:
    late = Visitor(admin.place).sign_in("admin").go(f"{PAGE}/3")
    admin.go(f"{PAGE}/2").submit("/promote", reason="first")
    late.submit("/promote", reason="second", force="yes")
    assert late.page.status_code == 409
    assert (
        "the champion changed meanwhile: version 2 serves now, and version 1 did when this was requested" in late.text
    )
    assert [action for action, _ in promoted(admin.place)] == ["model.promoted"]


def test_what_serves_is_what_the_alias_names_also_where_it_was_moved_in_mlflow(admin: Visitor, tmp_path: Path) -> None:
    registry = Registry(Settings(var=tmp_path / "registry"), "value")
    registry.set_alias(CHAMPION, 4)
    admin.go(PAGE)
    assert "Version 4 serves. It was made champion in MLflow itself, which does not record by whom" in admin.text
    admin.submit("/rollback", reason="who was that?")
    assert "Version 1 serves since" in admin.text
    registry.set_alias(CHAMPION, 4)
    admin.go(f"{PAGE}/2").submit("/promote", reason="better", force="yes")
    assert "This version serves from now on." in admin.text
    registry.client.delete_registered_model_alias("value", CHAMPION)
    assert "No version serves: the alias champion in MLflow names no existing version." in admin.go(PAGE).text
    admin.go(f"{PAGE}/2").submit("/promote", reason="again")
    assert "Version 2 serves since" in admin.go(PAGE).text


def test_a_rollback_is_offered_as_long_as_another_version_served_before(admin: Visitor) -> None:
    for before in (4, 3):
        admin.go(PAGE).submit("/rollback", reason="complaints")
        assert f"Version {before} serves since" in admin.text
    assert "/console/models/rollback" not in admin.go(PAGE).page.text


def test_where_the_version_that_served_is_gone_the_last_one_that_is_there_is_offered(
    admin: Visitor, tmp_path: Path
) -> None:
    Registry(Settings(var=tmp_path / "registry"), "value").client.delete_model_version("value", "1")
    assert "No version serves: the alias champion in MLflow names no existing version." in admin.go(PAGE).text
    assert "Version 4 serves again at once." in admin.text
    admin.submit("/rollback", reason="it was deleted")
    assert "Version 4 serves since" in admin.text


@pytest.mark.parametrize(("page", "act"), [(PAGE, "/rollback"), (f"{PAGE}/2", "/promote")])
def test_who_saw_that_no_version_serves_replaces_none_that_came_meanwhile(
    page: str, act: str, admin: Visitor, tmp_path: Path
) -> None:
    registry = Registry(Settings(var=tmp_path / "registry"), "value")
    registry.client.delete_model_version("value", "1")
    admin.go(page)
    registry.set_alias(CHAMPION, 3)
    admin.submit(act, reason="it was deleted", force="yes")
    assert "version 3 serves now, and no version did when this was requested" in admin.text


def test_two_people_are_needed_where_the_organisation_wants_them(admin: Visitor) -> None:
    place = admin.place
    with Session(place.engine) as session, session.begin():
        wants = OrganisationSettings.organisation_id == place.organisations[OURS]
        session.execute(update(OrganisationSettings).where(wants).values(two_people_promote=True))
    admin.go(f"{PAGE}/2").submit("/promote", reason="better")
    assert "The promotion is proposed. Another person has to approve it where the registry is." in admin.text
    assert "Version 1 serves since" in admin.go(PAGE).text
    assert promoted(place) == []
    newest = place.good("GET", "/v1/proposals", role="admin")[0]["id"]
    publisher = Visitor(place).sign_in("publisher").go(f"/console/proposals/{newest}")
    assert f"on the machine with the registry of models: fivefold proposals approve {newest}." in publisher.text
    assert [form for form in publisher.forms() if form.action.endswith("/approve")] == []


def test_a_member_of_one_organisation_does_not_decide_for_others(place: Place) -> None:
    visitor = Visitor(place).sign_in("admin").go(f"{PAGE}/2")
    visitor.submit("/promote", reason="mine")
    assert visitor.page.status_code == 409
    assert "the model values the customers of other organisations too" in visitor.text


def test_over_v1_a_version_is_promoted_and_rolled_back_too(admin: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    place, registry = admin.place, pages()[1]._registry
    monkeypatch.setattr(routes()[1], "_registry", registry)
    own = registry()
    for number, currency in (("1", "EUR"), ("2", "USD")):
        definition = json.dumps({"currency": currency, "horizon_days": 90})
        own.client.set_model_version_tag(own.name, number, "definition", definition)
    warning = "version 2 gives money in USD over 90 days, and version 1 gives it in EUR over 90 days; "
    assert warning in admin.go(f"{PAGE}/2").text
    assert "gives money in" not in admin.go(f"{PAGE}/1").text
    done = place.good("POST", "/v1/model-promotions", {"version": 2, "reason": "better", "serving": 1}, role="admin")
    assert done["warnings"][0].startswith(warning)
    assert (done["promotion"]["version"], done["promotion"]["replaced"], done["proposal"]) == (2, 1, None)
    back_warning = "version 1 gives money in EUR over 90 days, and version 2 gives it in USD over 90 days; "
    assert back_warning in admin.go(PAGE).text, "before the rollback is carried out"
    assert back_warning not in Visitor(place).sign_in("publisher").go(PAGE).text
    body = {"reason": "complaints", "serving": 1}
    assert place.ask("POST", "/v1/model-promotions/rollback", body, role="admin").status_code == 409
    back = place.good("POST", "/v1/model-promotions/rollback", {**body, "serving": 2}, role="admin")
    assert (back["action"], back["version"]) == ("rollback", 1)
    assert back["warnings"][0].startswith(back_warning)


def test_one_customer_is_written_in_the_singular(place: Place) -> None:
    add_predicted(place, 0, "due", customers=1)
    text = Visitor(place).sign_in("publisher").go(f"{PAGE}/1/realised").text
    assert (
        "1 customer could be compared with the realised value; 12 customers with a prediction are in no figure." in text
    )


def test_what_a_version_predicted_stands_beside_what_came(place: Place) -> None:
    for days_before, state in ((1, "waiting"), (0, "due")):
        add_predicted(place, days_before, state)
    visitor = Visitor(place).sign_in("publisher").go(f"{PAGE}/1")
    assert f"{PAGE}/1/realised" in visitor.links()
    text = visitor.go(f"{PAGE}/1/realised").text
    assert "customer: due for training , by the predictions of 4 October 2024 : realised money is &lt;b&gt;0.60" in text
    assert "400 customers could be compared with the realised value; 12 customers with" in text
    assert "The realised value is known since 2 January 2025 ." in text
    assert "412 of 90,000 customers with a value have a prediction." in text
    assert "5 October 2024 customer waiting until 3 January 2025 412 – – – –" in text
    assert "4 October 2024 customer due for training 400 0.60 0.50 to 0.70 71.0 % 0.8123 0.7000" in text
    page = visitor.page.text
    assert page.count('role="img"') == 1
    assert "customer: due for training , by" in visitor.go(PAGE).text
    assert Visitor(place).sign_in("publisher", THEIRS).go(f"{PAGE}/1/realised").text.count("made no predictions") == 1


def test_of_a_version_that_predicted_nothing_it_is_said_what_does(publisher: Visitor) -> None:
    assert "This version made no predictions here." in publisher.go(f"{PAGE}/3/realised").text
    assert publisher.go(f"{PAGE}/0/realised").page.status_code == 422


def test_nothing_is_said_of_few_customers(place: Place) -> None:
    add_predicted(place, 0, "unknown", customers=7)
    text = Visitor(place).sign_in("publisher").go(f"{PAGE}/1/realised").text
    assert "customer: not known , by" in text
    assert "all 7 – – EUR – –" in text


def test_members_of_a_promotion_are_named_wherever_they_stand_in_its_text() -> None:
    """At a terminal a member acts beside the account of the machine, and of two people both are recorded."""
    visit = cast("Visit", SimpleNamespace(names={"member:1": "ada", "member:12": "ben"}))
    assert Visit.person(visit, "member:1 as root") == "ada as root"
    assert Visit.person(visit, "member:12, approved by member:1") == "ben, approved by ada"
