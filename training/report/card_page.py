"""The model card as one page of HTML: styles and pictures inside, no scripts, nothing fetched, all text escaped."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup, escape

from fivefold.domain.text import visible_line
from fivefold.training.report.card import ModelCard, Sentence

_MARKS = re.compile(r"(`|\*\*)")
_TAGS = {"`": "code", "**": "strong"}


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Attributes:
        svg: the picture; it needs nothing else.
        alternative: what it shows, for people who cannot see it.
    """

    svg: str
    alternative: str

    @property
    def address(self) -> str:
        """The picture itself as an address, so that its names and styles do not clash with those of the page."""
        return f"data:image/svg+xml;base64,{b64encode(self.svg.encode()).decode('ascii')}"


def card_page(card: ModelCard, pictures: Sequence[Picture] = ()) -> str:
    """Write the card as HTML; pictures follow the section on quality."""
    return _TEMPLATE.render(card=card, pictures=pictures)


def marked(sentence: Sentence) -> Markup:
    """Write a sentence as HTML. Only its own words can mark code and strong words, never a figure.

    >>> from fivefold.training.report.card import say
    >>> marked(say("Model `{name}`.", name="`<b>**"))
    Markup('Model <code>`&lt;b&gt;**</code>.')
    """
    written, opened = Markup(), list[str]()
    for before, figure in sentence.parts():
        for word in _MARKS.split(before):
            tag = _TAGS.get(word)
            if tag is None:
                written += escape(visible_line(word))
            elif opened[-1:] == [tag]:
                written += Markup("</{}>").format(opened.pop())
            else:
                opened.append(tag)
                written += Markup("<{}>").format(tag)
        written += escape(visible_line(figure))
    return written + Markup().join(Markup("</{}>").format(tag) for tag in reversed(opened))


def _without_control(value: Any) -> Any:
    """Make control codes of text visible; HTML stays as it is."""
    return visible_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_ENVIRONMENT = jinja2.Environment(
    autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=_without_control
)
_ENVIRONMENT.filters["marked"] = marked
_TEMPLATE = _ENVIRONMENT.from_string(
    """{% macro look(table, column) %}{% if table.is_of_words(column) %} class="w"{% endif %}{% endmacro %}
{% macro show(block) %}
{% if block.kind == "paragraph" %}
<p>{% for line in block.lines %}{{ line | marked }}{% if not loop.last %}<br>{% endif %}{% endfor %}</p>
{% elif block.kind == "items" %}
<ul>
{% for item in block.items %}
<li>{{ item.sentence | marked }}
{% if item.under %}
<ul>
{% for under in item.under %}
<li>{{ under | marked }}</li>
{% endfor %}
</ul>
{% endif %}
</li>
{% endfor %}
</ul>
{% else %}
<div class="table" role="region" aria-label="{{ block.caption }}" tabindex="0"><table>
<caption>{{ block.caption }}</caption>
<thead><tr>
{%- for column in block.columns %}
{% if column.label %}<th scope="col"{{ look(block, loop.index0) }}>{{ column.label | replace("_", " ") }}</th>
{%- else %}<td></td>{% endif %}
{% endfor -%}
</tr></thead>
<tbody>
{% for row in block.cells() %}
<tr>
{%- for cell in row %}
{% if loop.first %}<th scope="row">{{ cell }}</th>
{%- else %}<td{{ look(block, loop.index0) }}>{{ cell }}</td>{% endif %}
{% endfor -%}
</tr>
{% endfor %}
</tbody>
</table></div>
{% endif %}
{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="color-scheme" content="light dark">
<title>Model card: {{ card.title }}</title>
<style>
:root { --ink: #1f2937; --muted: #5b6472; --paper: #fff; --line: #d1d5db; --mark: #c25400; --note: #fff7ed;
  color: var(--ink); background: var(--paper); font: 16px/1.55 system-ui, sans-serif; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e5e7eb; --muted: #a8b0bd; --paper: #14181f; --line: #3b4350; --mark: #f59e0b; --note: #2a2115; } }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1.25rem; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.25rem; margin: 2.25rem 0 .5rem; padding-top: 1rem; border-top: 1px solid var(--line); }
p, li { max-width: 46rem; } li { margin: .2rem 0; } ul { padding-left: 1.25rem; }
code { font: .9em ui-monospace, monospace; overflow-wrap: anywhere; }
.caution { margin: 1.25rem 0; padding: .75rem 1.25rem; border-left: 4px solid var(--mark); background: var(--note); }
.caution p { margin: 0; }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .94rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding-bottom: .3rem; }
th, td { padding: .3rem 1.1rem .3rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 500; } thead th { color: var(--muted); vertical-align: bottom; } td { white-space: nowrap; }
th:first-child, .w { text-align: left; } td.w { white-space: normal; min-width: 8.5rem; }
figure { margin: 1.25rem 0; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
@media (max-width: 30rem) { th, td { padding-right: .7rem; } }
@media print {
  body { margin: 0; max-width: none; } h2, caption { break-after: avoid; }
  figure, tr { break-inside: avoid; } .table { overflow: visible; } table { font-size: 8.5pt; }
  th, td { padding-right: .6rem; white-space: normal; } }
</style>
</head>
<body>
<main>
<h1>{{ card.title }}</h1>
<div class="caution" role="note"><p>{{ card.caution }}</p></div>
{% for section in card.sections %}
<section>
{% if section.title %}
<h2>{{ section.title }}</h2>
{% endif %}
{% for block in section.blocks %}
{{ show(block) }}
{%- endfor %}
{% if section.name == "quality" %}
{% for picture in pictures %}
<figure><img src="{{ picture.address }}" alt="{{ picture.alternative }}"></figure>
{% endfor %}
{% endif %}
</section>
{% endfor %}
</main>
</body>
</html>
"""
)
