"""`fivefold explain`: one customer's score as a waterfall, in the terminal or as a picture."""

import json
from dataclasses import asdict
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fivefold.charts.text.numbers import signed_points
from fivefold.charts.text.waterfall import waterfall_text
from fivefold.cli.terminal import (
    AsOfOption,
    LevelOption,
    MapOption,
    ModelOption,
    NameOption,
    PathArgument,
    console,
    echo,
    load_model,
    mapped,
    moment,
    print_absent_columns,
    require_module,
    require_source,
    show_table,
    warn,
)
from fivefold.domain.clock import day_text
from fivefold.domain.errors import ConfigError
from fivefold.domain.files import require_picture
from fivefold.domain.segments import score_text
from fivefold.domain.text import count_text
from fivefold.features.schema import CREATED
from fivefold.training.config import DEFAULT_NAME

if TYPE_CHECKING:
    from fivefold.domain.breakdown import Breakdown, TotalInterval
    from fivefold.features.histories import Floats, Histories
    from fivefold.features.reading.text_files import MappedFile
    from fivefold.models.reach import HistoryReach
    from fivefold.models.value_model import ValueModel
    from fivefold.models.what_if import ValueWhatIf


def explain(
    path: PathArgument,
    user: Annotated[str, typer.Option("--user", help="The customer's user_id.")],
    as_of: AsOfOption = None,
    png: Annotated[Path | None, typer.Option("--png", help="Draw the waterfall into a .png or .svg file.")] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="Number of indicators to show one by one.")] = 12,
    level: LevelOption = None,
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON with every indicator, for programs.")] = False,
    events: Annotated[
        bool,
        typer.Option("--what-if", help="Show events that would move the segment, such as a deposit or a quiet month."),
    ] = False,
    name: NameOption = DEFAULT_NAME,
    names: MapOption = None,
) -> None:
    """Explain one customer's score by its indicators."""
    when = moment(as_of, "--as-of")
    require_source(path)
    if png:
        require_picture(png)
        require_module("altair")
    show(
        load_model(model, name), mapped(path, names), user, when, png=png, most=most, as_json=as_json, events=events,
        level_percent=level,
    )  # fmt: skip


def show(
    model: "ValueModel",
    path: "Path | MappedFile",
    user: str,
    as_of: int,
    *,
    png: Path | None = None,
    most: int = 12,
    as_json: bool = False,
    events: bool = False,
    level_percent: int | None = None,
) -> None:
    """Print one customer's score and its waterfall, or all of it as JSON; draw it where a file is named."""
    from fivefold.features.histories import ties
    from fivefold.models.explain import breakdown, consistency_sentence, explanation_content, intervals, sentence
    from fivefold.models.explain import explain as explain_matrix
    from fivefold.models.reach import absences, last_balance_text
    from fivefold.models.what_if import what_if

    history, matrix, reach = _matrix_of(model, path, user, as_of)
    value_what_if = what_if(model, history, as_of) if events else None
    explanations = explain_matrix(model, matrix)
    scores, parts = explanations.scores, breakdown(explanations, 0, model.currency)
    interval = intervals(model, explanations, level_percent).of_score(0)
    headline = f"Customer {user} as of {day_text(as_of)}: {sentence(model, explanations, 0, level_percent)}"
    if text := last_balance_text(ties(history, as_of - model.settlement_lag_us).unordered):
        warn(text)
    if as_json:
        content = {
            "user_id": user,
            "as_of": day_text(as_of),
            "score": float(scores.score[0]),
            "category": str(scores.category[0]),
            **explanation_content(model, explanations, 0, level_percent),
            "history": reach.to_dict(),
            **({} if value_what_if is None else {"what_if": asdict(value_what_if)}),
        }
        typer.echo(json.dumps(_plain(content), ensure_ascii=False, indent=1, allow_nan=False))
    else:
        _print(headline, parts, most, interval)
        history_text = f"{count_text(reach.days, 'day')} of history" if CREATED in model.absent else str(reach)
        echo(f"The starting point is the score at the model's average prediction. Seen: {history_text}.")
        echo(consistency_sentence(float(model.consistency_of(matrix)[0])))
        for text in absences(history.absent, model.absent, model.currency):
            echo(f"Absent: {text}")
        print_absent_columns(model)
        if model.intervals is None:
            echo(
                "There is no interval, because this model has none. `fivefold recalibrate` or a new training adds them."
            )
        if value_what_if is not None:
            _print_events(value_what_if, model)
    if png:
        from fivefold.charts.render import save
        from fivefold.charts.waterfall import waterfall

        save(waterfall(parts, title=headline, most=most, interval=interval), png)
        if not as_json:
            echo(f"Drawn into {png}")


def _print(headline: str, breakdown: "Breakdown", most: int, interval: "TotalInterval | None") -> None:
    echo(headline)
    echo()
    echo(waterfall_text(breakdown, width_columns=max(console.width, 72), most=most, interval=interval))
    echo()
    families = ", ".join(f"{family} {signed_points(points)}" for family, points in breakdown.families().items())
    echo(f"By family: {families}")


def _print_events(what_if: "ValueWhatIf", model: "ValueModel") -> None:
    """Print the least events that move the segment, and of kinds that do not the one that moves the score farthest."""
    rows = [
        [
            one.words(model.currency),
            score_text(one.score, model.cut_points),
            signed_points(one.change),
            one.category,
        ]
        for one in (*what_if.smallest, *what_if.farthest)
    ]
    show_table("\nWhat if there were", ("event", "score", "change", "segment"), rows)
    events = dict.fromkeys(one.event for one in what_if.farthest)
    if events:
        echo(f"The segment does not change by {'; '.join(events)}: the largest effect on the score is shown.")


def _plain(value: Any) -> Any:
    """Replace NaN by None: JSON has no NaN."""
    if isinstance(value, dict):
        return {name: _plain(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(below) for below in value]
    return None if isinstance(value, float) and isnan(value) else value


def _matrix_of(
    model: "ValueModel", path: "Path | MappedFile", user: str, as_of: int
) -> "tuple[Histories, Floats, HistoryReach]":
    from fivefold.features.reading.sources import stream_histories
    from fivefold.models.reach import history_reaches, needed_row_text

    history = alike = None
    for part in stream_histories(
        path, model.rates, absent=model.absent
    ):  # to its end, where it is certain that no customer comes twice
        position = part.position(user)
        if position is not None:
            history = part.select(position, position + 1)
        elif history is None and alike is None:
            alike = part.named_alike(user)
    if history is None:
        hint = f"; perhaps {alike!r} was meant" if alike else ""
        raise ConfigError(f"{path} has no customer {user!r}{hint}")
    matrix, row_counts = model.matrix(history, as_of)
    if not row_counts[0]:
        needed = needed_row_text(as_of, model.settlement_lag_us)
        raise ConfigError(f"customer {user!r} has no {needed}; give a later --as-of")
    return history, matrix, history_reaches(history, as_of, model.settlement_lag_us)[0]
