"""A graph in its places: every node once, nothing over anything else, every way drawn, and downwards."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fivefold.charts.graphs import Edge, GraphPlot, Node, layered_graph

TITLES = st.text(alphabet="ab ä漢\n", min_size=1, max_size=60)
MOST_NODES, MOST_WAYS = 10, 20


@st.composite
def graphs(draw: st.DrawFn) -> tuple[tuple[Node, ...], tuple[Edge, ...]]:
    """Nodes, and ways that lead to later ones; some lead nowhere, or back, as in a text that is being written."""
    count = draw(st.integers(1, MOST_NODES))
    notes = st.lists(TITLES, max_size=7).map(tuple)
    nodes = tuple(Node(id=f"n{place}", title=draw(TITLES), heading="step", notes=draw(notes)) for place in range(count))
    ends = st.integers(0, count - 1)
    labels = st.one_of(st.just(""), TITLES)
    ways = draw(
        st.lists(st.builds(lambda a, b, label: Edge(f"n{a}", f"n{b}", label), ends, ends, labels), max_size=MOST_WAYS)
    )
    return nodes, tuple(ways)


def drawn_ways(ways: tuple[Edge, ...]) -> set[tuple[str, str]]:
    return {(way.source, way.target) for way in ways if int(way.source[1:]) < int(way.target[1:])}


@given(graphs())
def test_every_node_has_one_box_and_nothing_lies_over_anything(
    graph: tuple[tuple[Node, ...], tuple[Edge, ...]],
) -> None:
    nodes, ways = graph
    plot = layered_graph(nodes, ways)
    assert [box.id for box in plot.boxes] == [node.id for node in nodes]
    assert {label.of for label in plot.labels} <= drawn_ways(ways)
    shapes = [*plot.boxes, *plot.labels]
    for shape in shapes:
        assert 0 <= shape.x < shape.x + shape.width <= plot.width
        assert 0 <= shape.y < shape.y + shape.height <= plot.height
    for one, other in combinations(shapes, 2):
        beside = one.x + one.width < other.x or other.x + other.width < one.x
        assert beside or one.y + one.height < other.y or other.y + other.height < one.y


@given(graphs())
def test_every_way_leads_down_from_its_box_to_the_other_and_through_no_third(
    graph: tuple[tuple[Node, ...], tuple[Edge, ...]],
) -> None:
    nodes, ways = graph
    plot = layered_graph(nodes, ways)
    boxes = {box.id: box for box in plot.boxes}
    for source, target in drawn_ways(ways):
        parts = sorted(
            (line.points for line in plot.lines if (source, target) in line.of), key=lambda points: points[0][1]
        )
        assert parts[0][0] == (boxes[source].middle, boxes[source].y + boxes[source].height)
        assert parts[-1][-1] == (boxes[target].middle, boxes[target].y)
        for before, after in pairwise(parts):
            assert before[-1][0] == after[0][0]
            assert before[-1][1] <= after[0][1]
    assert {pair for line in plot.lines for pair in line.of} == drawn_ways(ways)
    for line in plot.lines:
        heights = [y for _, y in line.points]
        assert heights == sorted(heights)
        assert_clear(plot, line.points)


def assert_clear(plot: GraphPlot, points: tuple[tuple[float, float], ...]) -> None:
    """Nothing stands where the upright parts of a line are, nor beside its bend."""
    (x, top), (_, bend), (to, end), (_, bottom) = points
    for shape in [*plot.boxes, *plot.labels]:
        for at, begins, ends in ((x, top, bend), (to, end, bottom)):
            inside = shape.x < at < shape.x + shape.width
            assert not (inside and max(begins, shape.y) < min(ends, shape.y + shape.height))
        assert not max(bend, shape.y) < min(end, shape.y + shape.height)


@given(graphs())
def test_the_same_graph_is_drawn_the_same_way_again(graph: tuple[tuple[Node, ...], tuple[Edge, ...]]) -> None:
    first = layered_graph(*graph)
    layered_graph.cache_clear()
    assert layered_graph(*graph) == first


def test_ways_that_can_be_drawn_without_crossing_are() -> None:
    nodes = tuple(Node(id=name, title=name) for name in "abcdef")
    ways = (Edge("a", "b"), Edge("a", "c"), Edge("b", "e"), Edge("c", "d"), Edge("d", "f"), Edge("e", "f"))
    across = {box.id: box.x for box in layered_graph(nodes, ways).boxes}
    assert (across["b"] < across["c"]) == (across["e"] < across["d"])


def test_a_chain_stands_in_one_column() -> None:
    nodes = tuple(Node(id=str(place), title="Step") for place in range(100))
    ways = tuple(Edge(str(place), str(place + 1)) for place in range(99))
    assert len({box.x for box in layered_graph(nodes, ways).boxes}) == 1


@pytest.mark.full
def test_a_hundred_steps_each_of_which_leads_to_all_later_ones_are_drawn() -> None:
    nodes = tuple(Node(id=str(place), title="Step") for place in range(100))
    ways = tuple(Edge(str(a), str(b), "way") for a in range(100) for b in range(a + 1, 100))
    plot = layered_graph(nodes, ways)
    assert (len(plot.boxes), len(plot.labels)) == (100, len(ways))


def test_labels_of_ways_between_the_same_two_are_written_together_and_counted_where_there_are_many() -> None:
    nodes = (Node(id="a", title="A"), Node(id="b", title="B"))
    ways = tuple(Edge("a", "b", f"way {place % 5}") for place in range(9))
    (label,) = layered_graph(nodes, ways).labels
    assert label.texts == ("· way 0", "· way 1", "· way 2", "+ 2")


def test_nothing_is_drawn_of_nothing() -> None:
    assert layered_graph((), ()).boxes == ()
