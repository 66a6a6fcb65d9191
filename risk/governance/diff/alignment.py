"""Which item of one list became which of another: by name, then by place, and which of them moved."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    """An item of two lists.

    Attributes:
        before: its position in the first list, from 0; None where it was added.
        after: its position in the second; None where it was removed.
        moved: others have changed sides with it.
    """

    before: int | None
    after: int | None
    moved: bool = False


def align(before: Sequence[str], after: Sequence[str], *, by_place: bool = False) -> list[Pair]:
    """Pair the items of two lists that have the same name; as few as possible count as moved.

    Args:
        before: the names of the first list; where one comes twice, the first goes with the first.
        after: the names of the second.
        by_place: items without a partner are paired as well where they stand between the same neighbours: what is
            there now was made of what was there before.

    Returns:
        A pair for each item, in the order of the second list; those that were removed come last.

    >>> [(pair.before, pair.after, pair.moved) for pair in align(["a", "b", "c"], ["c", "a", "d"])]
    [(2, 0, True), (0, 1, False), (None, 2, False), (1, None, False)]
    """
    places = {name: place for place, name in enumerate(_numbered(before))}
    partners = {place: places[name] for place, name in enumerate(_numbered(after)) if name in places}
    staying = _longest_rising(list(partners.values()))
    in_order = {place: partner for place, partner in partners.items() if partner in staying}
    if by_place:
        partners |= _between(in_order, len(before), len(after), partners)
    pairs = [
        Pair(
            partners.get(place),
            place,
            place in partners and place not in in_order and _same_name(before, after, partners, place),
        )
        for place in range(len(after))
    ]
    gone = set(range(len(before))) - set(partners.values())
    return pairs + [Pair(place, None) for place in sorted(gone)]


def _same_name(before: Sequence[str], after: Sequence[str], partners: dict[int, int], place: int) -> bool:
    return before[partners[place]] == after[place]


def _numbered(names: Iterable[str]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    numbered = []
    for name in names:
        numbered.append((name, counts[name]))
        counts[name] += 1
    return numbered


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """Find a longest rising part of a sequence of different numbers, in n log n steps (patience sorting)."""
    tails: list[int] = []
    before: dict[int, int | None] = {}
    for number in numbers:
        place = bisect_left(tails, number)
        before[number] = tails[place - 1] if place else None
        tails[place : place + 1] = [number]
    rising, number_or_none = set(), tails[-1] if tails else None
    while number_or_none is not None:
        rising.add(number_or_none)
        number_or_none = before[number_or_none]
    return rising


def _between(in_order: dict[int, int], before: int, after: int, partners: dict[int, int]) -> dict[int, int]:
    """Pair items without a partner that stand after the same neighbour, in their order."""
    neighbours = {partner: place for place, partner in in_order.items()}
    gaps: dict[int | None, list[int]] = defaultdict(list)
    last = None
    paired = set(partners.values())
    for place in range(before):
        last = neighbours.get(place, last)
        if place not in paired:
            gaps[last].append(place)
    pairs, last = {}, None
    for place in range(after):
        last = place if place in in_order else last
        if place not in partners and gaps[last]:
            pairs[place] = gaps[last].pop(0)
    return pairs
