"""Evidence: the results of a backtest or a validation, as one self-contained page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import jinja2
from markupsafe import Markup

from fivefold.charts.render import svg
from fivefold.charts.text.numbers import one_line


@dataclass(frozen=True)
class ReportTable:
    """A table whose first *words* columns are text, the others numbers."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1


@dataclass(frozen=True)
class ReportSection:
    """A part of a page.

    Attributes:
        title: the question that it answers.
        words: how to read it.
        table: the numbers, if any.
        picture: the numbers as a picture, if any.
    """

    title: str
    words: str = ""
    table: ReportTable | None = None
    picture: alt.TopLevelMixin | None = None


@dataclass(frozen=True)
class ReportPage:
    """The page of one result.

    Attributes:
        title: the name of the result.
        facts: what identifies it, by name: hashes, moments, seeds.
        cautions: the limits of what it shows, at the top of the page.
        sections: the sections of the page.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    cautions: Sequence[str]
    sections: Sequence[ReportSection]


def as_html(page: ReportPage) -> str:
    """Write a page as HTML: styles and pictures inside, no scripts, nothing fetched, all text escaped."""
    pictures = [None if section.picture is None else _inline(section, at) for at, section in enumerate(page.sections)]
    return _TEMPLATE.render(page=page, sections=list(zip(page.sections, pictures, strict=True)))


def _inline(section: ReportSection, number: int) -> str:
    """Draw a picture whose names (of clips and gradients) do not clash with those of other pictures on the page."""
    assert section.picture is not None
    picture = svg(section.picture)
    names = set(re.findall(r'\bid="([^"]+)"', picture))
    for name in names:
        picture = picture.replace(f'id="{name}"', f'id="p{number}-{name}"').replace(
            f"url(#{name})", f"url(#p{number}-{name})"
        )
    return picture


def _one_line(value: Any) -> Any:
    """Remove control codes from text; HTML is unchanged."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_TEMPLATE = jinja2.Environment(
    autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=_one_line
).from_string(
    """{% macro look(column, table) %}{% if column <= table.words %} class="w"{% endif %}{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{{ page.title }}</title>
<style>
:root { color: #1f2937; background: #fff; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 68rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .4rem; padding-top: .9rem; border-top: 1px solid #e5e7eb; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: 0; }
dt { color: #6b7280; } dd { margin: 0; overflow-wrap: break-word; }
.cautions { margin: 1.25rem 0; padding: .75rem 1.25rem; border-left: 4px solid #c25400; background: #fff7ed; }
.cautions ul { margin: .25rem 0 0; padding-left: 1.1rem; }
.table { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid #e5e7eb; }
th, td { vertical-align: top; } th { color: #6b7280; font-weight: 500; border-bottom-color: #9ca3af; }
.w { text-align: left; overflow-wrap: break-word; max-width: 34rem; } td.w { white-space: normal; }
figure { margin: 1rem 0; overflow-x: auto; } figure svg { max-width: 100%; height: auto; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>{{ page.title }}</h1>
<dl>
{% for name, value in page.facts %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
</dl>
{% if page.cautions %}
<div class="cautions" role="note"><strong>To be known beforehand</strong>
<ul>
{% for caution in page.cautions %}
<li>{{ caution }}</li>
{% endfor %}
</ul></div>
{% endif %}
{% for section, picture in sections %}
<section>
<h2>{{ section.title }}</h2>
{% if section.words %}
<p>{{ section.words }}</p>
{% endif %}
{% if picture %}
<figure>{{ picture | safe }}</figure>
{% endif %}
{% if section.table %}
<div class="table"><table>
<thead><tr>
{%- for column in section.table.columns %}
<th scope="col"{{ look(loop.index, section.table) }}>{{ column }}</th>{% endfor -%}
</tr></thead>
<tbody>
{% for row in section.table.rows %}
<tr>{% for cell in row %}<td{{ look(loop.index, section.table) }}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>
{% endif %}
</section>
{% endfor %}
</main>
</body>
</html>
"""
)
