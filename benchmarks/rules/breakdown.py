"""How long a breakdown takes to be written: as the engine writes it, and by the JSON encoder of Python."""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

from fivefold.domain.clock import iso_text, now_microseconds
from fivefold.risk.compiler.analysis import analyse_text
from fivefold.risk.engine.explain.breakdown import Explanation, as_json_text, explain, explain_all
from fivefold.risk.governance.examples.run import assess_examples
from fivefold.usecases.portfolio_files.bundled import bundled_lists, bundled_rulesets, bundled_text

_PEER = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))
_COPIES = 20
"""So many entities share the outcomes of each rule, as in a batch of a worker."""


def _by_peer(explanation: Explanation) -> str:
    may = explanation.may_move_down_on
    moments = {"as_of": iso_text(explanation.as_of), "may_move_down_on": None if may is None else iso_text(may)}
    rules = [outcome.as_json() for outcome in explanation.rules]
    return _PEER.encode({**vars(explanation), **moments, "total": str(explanation.total), "rules": rules})


WRITERS: dict[str, Callable[[Explanation], str]] = {"engine": as_json_text, "json": _by_peer}


def main() -> None:
    """Time both writers in turn on the examples of every ruleset that ships, and print medians for one breakdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="breakdowns of all examples by each")
    rounds = parser.parse_args().rounds
    for name in bundled_rulesets():
        assessments = assess_examples(analyse_text(bundled_text(name)), bundled_lists(), now_microseconds())
        alone = range(len(assessments))
        for batch in ("alone", "together"):
            times: dict[str, list[float]] = {writer: [] for writer in WRITERS}
            for _ in range(rounds):
                for writer, write in WRITERS.items():
                    explanations = (
                        [explain(assessments, place) for place in alone]
                        if batch == "alone"
                        else list(explain_all(assessments, [*alone] * _COPIES))
                    )
                    begin = time.process_time()
                    for explanation in explanations:
                        write(explanation)
                    times[writer].append((time.process_time() - begin) / len(explanations))
            figures = ", ".join(f"{writer} {median(seconds) * 1e6:.1f} µs" for writer, seconds in times.items())
            print(f"{name}, {batch}: {figures}")


if __name__ == "__main__":
    main()
