"""The layout of a graph, in numbers and as an SVG picture: boxes in layers, with labels, and lines that lead down.

It follows the steps of Sugiyama, Tagawa and Toda, "Methods for Visual Understanding of Hierarchical System Structures"
(1981): a layer for each box, places for the lines in the layers that they pass, an order in each layer with few
crossings, and last the positions from left to right. Ways to one box that pass several layers are joined.
"""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from html import escape
from itertools import pairwise
from typing import Final

from fivefold.charts.text.numbers import is_wide, label_lines

BOX_WIDTH: Final = 196.0
LINE_HEIGHT: Final = 17.0
BOX_COLUMNS: Final = 25
"""Characters of a line in a box; the wide ones of East Asia count twice."""
LABEL_COLUMNS: Final = 22
CHARACTER_WIDTH: Final = 7.0
"""The average width in a label; at 13 units the letters of most fonts are narrower."""
MOST_TITLE_LINES: Final = 3
MOST_NOTES: Final = 5
MOST_LABELS: Final = 3
"""How many labels of ways between the same two boxes are written; the others are counted."""
_BETWEEN: Final = 22.0
"""The distance between layers, in which lines bend."""
_BESIDE: Final = 16.0
_MARGIN: Final = 6.0
_LINE_SPACE: Final = 8.0
_SWEEPS: Final = 8
_MOST_WORK: Final = 40_000
"""The most places that all sweeps together visit; a larger graph has fewer sweeps."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """What a box stands for.

    Attributes:
        id: by which ways name it.
        kind: its class, for its look.
        heading: in small letters, above the title.
        notes: beneath the title, a line each.
    """

    id: str
    title: str
    kind: str = ""
    heading: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Edge:
    """A way from one node to another, with its label."""

    source: str
    target: str
    label: str = ""


Pair = tuple[str, str]
"""The ids of the two nodes of a way."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A placed node; `is_entered` if a line leads to it, `texts` are its lines, each with a class."""

    id: str
    kind: str
    x: float
    y: float
    width: float
    height: float
    texts: tuple[tuple[str, str], ...]
    is_entered: bool

    @property
    def middle(self) -> float:
        """Where lines begin and end."""
        return self.x + self.width / 2


@dataclass(frozen=True, kw_only=True)
class Label:
    """The text of the ways between two boxes, around the place where their line passes.

    Attributes:
        of: the boxes.
        texts: its lines.
        labels: of each line, the labels that it is a part of; of the last one, where some are counted, those.
    """

    of: Pair
    x: float
    y: float
    width: float
    height: float
    texts: tuple[str, ...]
    labels: tuple[frozenset[str], ...]

    @property
    def middle(self) -> float:
        """Where its lines are centred."""
        return self.x + self.width / 2


@dataclass(frozen=True, kw_only=True)
class EdgePath:
    """A part of a line, as the path of an SVG; several ways may share it.

    Attributes:
        points: its start, its bends and its end; each is further down than the one before, or level with it.
    """

    of: frozenset[Pair]
    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """Write it: vertical, a bend between two layers, vertical."""
        (x, top), (_, begins), (to, ends), (_, bottom) = self.points
        half = (begins + ends) / 2
        bend = f"V{begins:.1f}C{x:.1f} {half:.1f} {to:.1f} {half:.1f} {to:.1f} {ends:.1f}"
        return f"M{x:.1f} {top:.1f}{bend}V{bottom:.1f}"


@dataclass(frozen=True, kw_only=True)
class GraphPlot:
    """A graph with the positions of its parts."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    labels: tuple[Label, ...]
    lines: tuple[EdgePath, ...]


_Key = tuple[str, str, str | int]
"""Names a place: a box, a label by its two boxes, or the layer that the line to a box passes."""


@dataclass(eq=False, kw_only=True)
class _Place:
    key: _Key
    layer: int
    width: float
    height: float = 0.0
    texts: tuple[tuple[str, str], ...] = ()
    labels: tuple[frozenset[str], ...] = ()
    x: float = 0.0
    above: list["_Place"] = field(default_factory=list)
    below: list["_Place"] = field(default_factory=list)


@lru_cache(maxsize=64)
def layered_graph(nodes: tuple[Node, ...], ways: tuple[Edge, ...]) -> GraphPlot:
    """Lay a graph out.

    Args:
        nodes: in an order in which each way leads to a later one; every id once.
        ways: ways to unknown nodes, and to nodes that are not later, are left out.

    >>> plot = layered_graph((Node(id="a", title="Begin"), Node(id="b", title="End")), (Edge("a", "b", "then"),))
    >>> [box.id for box in plot.boxes], [label.texts for label in plot.labels], len(plot.lines)
    (['a', 'b'], [('then',)], 2)
    >>> plot.boxes[0].y < plot.labels[0].y < plot.boxes[1].y
    True
    """
    labels = _ways_by_pair(nodes, ways)
    places, segments = _places(nodes, labels)
    layers = _layers(places)
    _order(layers)
    _set_across(layers)
    tops, bottoms = _set_down(layers)
    least = min((place.x - place.width / 2 for layer in layers for place in layer), default=0.0) - _MARGIN
    for place in places.values():
        place.x = round(place.x - least)
    boxes = [_box(places["box", node.id, ""], node, tops) for node in nodes]
    labels_drawn = [_label(place, tops, bottoms) for place in places.values() if place.key[0] == "label"]
    shapes: list[Box | Label] = [*boxes, *labels_drawn]
    return GraphPlot(
        width=max((shape.x + shape.width for shape in shapes), default=0.0) + _MARGIN,
        height=(bottoms[-1] if bottoms else 0.0) + _MARGIN,
        boxes=tuple(boxes),
        labels=tuple(labels_drawn),
        lines=tuple(_line(above, below, frozenset(of), tops, bottoms) for (above, below), of in segments.items()),
    )


def _ways_by_pair(nodes: Sequence[Node], ways: Sequence[Edge]) -> dict[Pair, list[str]]:
    """Join the ways between the same two nodes, with their labels in order, each once."""
    positions = {node.id: position for position, node in enumerate(nodes)}
    by_pair: dict[Pair, list[str]] = {}
    for way in ways:
        if positions.get(way.source, len(nodes)) < positions.get(way.target, -1):
            labels = by_pair.setdefault((way.source, way.target), [])
            if way.label and way.label not in labels:
                labels.append(way.label)
    return by_pair


def _places(
    nodes: Sequence[Node], labels: Mapping[Pair, Sequence[str]]
) -> tuple[dict[_Key, _Place], dict[tuple[_Place, _Place], set[Pair]]]:
    """Make a place for each box, each label, and each layer that a line passes; and the parts of lines between them.

    Boxes are in even layers, and labels in the odd ones between them.
    """
    ranks = {node.id: 0 for node in nodes}
    leaving: dict[str, list[str]] = defaultdict(list)
    for source, target in labels:
        leaving[source].append(target)
    for node in nodes:  # a way leads to a later node, so each node's rank is settled before it is reached
        for target in leaving[node.id]:
            ranks[target] = max(ranks[target], ranks[node.id] + 1)
    places: dict[_Key, _Place] = {}
    for node in nodes:
        texts = _texts(node)
        places["box", node.id, ""] = _Place(
            key=("box", node.id, ""),
            layer=2 * ranks[node.id],
            width=BOX_WIDTH,
            height=LINE_HEIGHT * len(texts) + 10,
            texts=texts,
        )
    segments: dict[tuple[_Place, _Place], set[Pair]] = defaultdict(set)
    for pair, label_texts in labels.items():
        before = places["box", pair[0], ""]
        first = before.layer + 1
        for layer in range(first, places["box", pair[1], ""].layer):
            if label_texts and layer == first:
                place = places.setdefault(("label", *pair), _label_place(pair, layer, label_texts))
            else:
                key: _Key = ("line", pair[1], layer)
                place = places.setdefault(key, _Place(key=key, layer=layer, width=_LINE_SPACE))
            segments[before, place].add(pair)
            before = place
        segments[before, places["box", pair[1], ""]].add(pair)
    for above, below in segments:
        above.below.append(below)
        below.above.append(above)
    return places, segments


def _texts(node: Node) -> tuple[tuple[str, str], ...]:
    notes = [row for note in node.notes[:MOST_NOTES] for row in label_lines(note, BOX_COLUMNS, 1)]
    if len(node.notes) > MOST_NOTES:
        notes.append(f"+ {len(node.notes) - MOST_NOTES}")
    titles = label_lines(node.title, BOX_COLUMNS, MOST_TITLE_LINES)
    kinds = [("small", node.heading), *(("title", line) for line in titles), *(("note", line) for line in notes)]
    return tuple((kind, line) for kind, line in kinds if line)


def _label_place(pair: Pair, layer: int, texts: Sequence[str]) -> _Place:
    begins = "· " if len(texts) > 1 else ""
    lines = [
        (row, frozenset({each})) for each in texts[:MOST_LABELS] for row in label_lines(begins + each, LABEL_COLUMNS, 2)
    ]
    if len(texts) > MOST_LABELS:
        lines.append((f"+ {len(texts) - MOST_LABELS}", frozenset(texts[MOST_LABELS:])))
    width = CHARACTER_WIDTH * max(len(line) + sum(map(is_wide, line)) for line, _ in lines) + 8
    height = LINE_HEIGHT * len(lines) + 4
    return _Place(
        key=("label", *pair),
        layer=layer,
        width=width,
        height=height,
        texts=tuple(("label", line) for line, _ in lines),
        labels=tuple(labels for _, labels in lines),
    )


def _layers(places: Mapping[_Key, _Place]) -> list[list[_Place]]:
    layers: list[list[_Place]] = [[] for _ in range(max((place.layer for place in places.values()), default=-1) + 1)]
    for place in places.values():
        layers[place.layer].append(place)
    return layers


def _order(layers: list[list[_Place]]) -> None:
    """Sort each layer by the middle of its neighbours, down and up in turn, and keep the order of fewest crossings."""
    count = sum(map(len, layers))
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(min(_SWEEPS, _MOST_WORK // max(count, 1))):
        if fewest == 0:
            break
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            _sort(layer, downwards, layers)
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    for layer, order in zip(layers, best, strict=True):
        layer[:] = order


def _sort(layer: list[_Place], downwards: bool, layers: list[list[_Place]]) -> None:
    """Sort a layer by the middle of each place's neighbours in the layer beside it."""
    number = layer[0].layer + (-1 if downwards else 1) if layer else -1
    at = {place: float(index) for index, place in enumerate(layers[number])} if 0 <= number < len(layers) else {}

    def middle(indexed: tuple[int, _Place]) -> float:
        index, place = indexed
        beside = place.above if downwards else place.below
        return sum(at[each] for each in beside) / len(beside) if beside else float(index)

    layer[:] = [place for _, place in sorted(enumerate(layer), key=middle)]


def _crossings(layers: Sequence[Sequence[_Place]]) -> int:
    """Count the parts of lines that cross: pairs that are in another order below than above."""
    crossings = 0
    for upper, lower in pairwise(layers):
        at = {place: index for index, place in enumerate(lower)}
        ends: list[int] = []
        for place in upper:
            mine = sorted(at[each] for each in place.below)
            crossings += sum(len(ends) - bisect_right(ends, end) for end in mine)
            for end in mine:
                insort(ends, end)
    return crossings


def _set_across(layers: Sequence[Sequence[_Place]]) -> None:
    """Move each place to the middle of its neighbours, as near as the others of its layer allow."""
    for layer in layers:
        _set_apart(layer, [0.0] * len(layer))
    for beside in ("above", "below", "above", "below", "both"):
        for layer in reversed(layers) if beside == "below" else layers:
            targets = []
            for place in layer:
                near = {"above": place.above, "below": place.below, "both": [*place.above, *place.below]}[beside]
                targets.append(sum(each.x for each in near) / len(near) if near else place.x)
            _set_apart(layer, targets)


def _set_apart(layer: Sequence[_Place], targets: Sequence[float]) -> None:
    """Set the places of a layer, in their order and clear of one another, as near to their targets as possible.

    The least sum of squares, by pooling of adjacent violators: Ayer and others, "An Empirical Distribution Function for
    Sampling with Incomplete Information" (1955).
    """
    offsets, offset = [], 0.0
    for index, place in enumerate(layer):
        offset += (place.width + layer[index - 1].width) / 2 + _BESIDE if index else 0.0
        offsets.append(offset)
    pools: list[tuple[float, int]] = []
    for want, before in zip(targets, offsets, strict=True):
        total, count = want - before, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            more, members = pools.pop()
            total, count = total + more, count + members
        pools.append((total, count))
    settled: Iterable[float] = (total / count for total, count in pools for _ in range(count))
    for place, begins, before in zip(layer, settled, offsets, strict=True):
        place.x = begins + before


def _set_down(layers: Sequence[Sequence[_Place]]) -> tuple[list[float], list[float]]:
    """Return the top and the bottom of each layer."""
    tops, bottoms, at = [], [], _MARGIN
    for layer in layers:
        tops.append(at)
        bottoms.append(at + max(place.height for place in layer))
        at = bottoms[-1] + _BETWEEN
    return tops, bottoms


def _box(place: _Place, node: Node, tops: Sequence[float]) -> Box:
    """Place a node's box at its position."""
    return Box(
        id=node.id,
        kind=node.kind,
        x=place.x - place.width / 2,
        y=tops[place.layer],
        width=place.width,
        height=place.height,
        texts=place.texts,
        is_entered=bool(place.above),
    )


def _label(place: _Place, tops: Sequence[float], bottoms: Sequence[float]) -> Label:
    """Place a label half-way between two layers."""
    return Label(
        of=(str(place.key[1]), str(place.key[2])),
        x=place.x - place.width / 2,
        y=(tops[place.layer] + bottoms[place.layer] - place.height) / 2,
        width=place.width,
        height=place.height,
        texts=tuple(line for _, line in place.texts),
        labels=place.labels,
    )


def _line(
    above: _Place, below: _Place, of: frozenset[Pair], tops: Sequence[float], bottoms: Sequence[float]
) -> EdgePath:
    """Draw from the lower edge of one place to the upper edge of the next; a line passes a layer to its end."""
    begins = {
        "box": tops[above.layer] + above.height,
        "label": (tops[above.layer] + bottoms[above.layer] + above.height) / 2,
    }.get(above.key[0], bottoms[above.layer])
    ends = {
        "box": tops[below.layer],
        "label": (tops[below.layer] + bottoms[below.layer] - below.height) / 2,
    }.get(below.key[0], bottoms[below.layer])
    points = ((above.x, begins), (above.x, bottoms[above.layer]), (below.x, tops[below.layer]), (below.x, ends))
    return EdgePath(of=of, points=points)


_STYLE = """svg { font: 13px 'Liberation Sans', Arial, Helvetica, Arimo, sans-serif; }
text { fill: #1d2733; text-anchor: middle; } .title { font-weight: 600; } .small, .label, .note { font-size: 12px; }
.small, .label { fill: #56616e; } .way { fill: none; stroke: #6d7885; stroke-width: 1.3; } .arrow { fill: #6d7885; }
.paper { fill: #ffffff; } .box { fill: #eef2f6; stroke: #6d7885; } .box.person { stroke: #b3541e; stroke-width: 2; }
.box.end { fill: #ffffff; stroke: #1d2733; stroke-width: 1.5; }"""
_LINE = 17


def graph_picture(plot: GraphPlot, title: str) -> str:
    """Draw a graph; *title* is for screen readers.

    >>> from fivefold.charts.graphs import Node, layered_graph
    >>> picture = graph_picture(layered_graph((Node(id="a", title="A < B"),), ()), "One")
    >>> picture.count("<rect"), "A &lt; B" in picture
    (2, True)
    """
    size = f'viewBox="0 0 {plot.width:.0f} {plot.height:.0f}" width="{plot.width:.0f}" height="{plot.height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        '<rect class="paper" width="100%" height="100%"/>',
        *(f'<path class="way" d="{line.path}"/>' for line in plot.lines),
    ]
    for label in plot.labels:
        parts += [_text("label", label.middle, label.y + 14 + _LINE * n, each) for n, each in enumerate(label.texts)]
    for box in plot.boxes:
        place = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
        parts.append(f'<rect class="box {escape(box.kind)}" {place} rx="{14 if box.kind == "end" else 4}"/>')
        if box.is_entered:
            parts.append(f'<path class="arrow" d="M{box.middle:.1f} {box.y:.1f}l-5 -8h10z"/>')
        parts += [_text(kind, box.middle, box.y + 17 + _LINE * n, each) for n, (kind, each) in enumerate(box.texts)]
    return "\n".join([*parts, "</svg>", ""])


def _text(kind: str, x: float, y: float, words: str) -> str:
    return f'<text class="{escape(kind)}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'
