"""A laid-out graph as a self-contained SVG picture."""

from html import escape

from fivefold.charts.graphs import GraphPlot

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
