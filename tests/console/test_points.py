"""Points learnt from cases in pages: asked for, refused with the reason, and shown."""

from fivefold.usecases.rulesets.points.jobs import run_next_points
from tests.console.visitors import Visitor
from tests.serving.v1.places import Place

PAGE = "/console/rulesets/retail/points"


def test_points_are_asked_for_and_what_became_of_them_is_shown(place: Place) -> None:
    author = Visitor(place).sign_in("publisher").go("/console/rulesets/retail")
    assert PAGE in author.links()
    author.go(PAGE)
    assert "None so far." in author.text
    author.submit("/points/ask", as_of="2999-01-01")
    assert author.page.status_code == 422
    assert "give an earlier as_of" in author.text
    author.go(PAGE).submit("/points/ask", as_of="2025-01-01", learn_as_of="2024-01-01")
    assert "The points are asked for." in author.text
    assert "Queued" in author.text
    author.submit("/points/ask", as_of="2025-01-01")
    assert "being learnt already" in author.text
    assert run_next_points(place.engine)
    author.go(PAGE)
    assert "Failed : " in author.text
