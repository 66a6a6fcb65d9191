"""Names that a person cannot tell apart.

The tables are the part of Unicode's skeletons (UTS 39) that concerns names in Latin, Cyrillic, Greek, Armenian,
Cherokee, Coptic and Lisu letters, and the letters of East Asia that look like Latin ones.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

_SIGNS: Final = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u02d7\u30fc\u4e00", "-")
    | dict.fromkeys("\u2019\u2018\u201b\u02bc\u02b9\u2032\u2035\u00b4`\u02bb\u02bd\u02c8\ua78c\u055a", "'")
    | {"0": "o", "\u0131": "i", "\u201a": ","}
)
"""Signs to the sign that they look like; applied before Unicode's own folding, which decomposes some of them."""
_STROKES: Final = str.maketrans(
    dict.fromkeys("1|I\u01c0\u0196\u0399\u0406\u04c0\u04cf\u4e28\u1175\u30a8\u5de5\u3021", "l")
    | {"L": "\0", "\u039d": "n", "\u03a5": "y"}
)
"""Characters that look like a small L. A capital L looks like no other letter, and two Greek capitals do not look like
their small letters."""
_LETTERS: Final = str.maketrans(
    "авекмнорстухіјѕԁԛԝһьүѵԍѡαβεηικμνορτυχζγɑɡɩȷƒʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ"
    "ꬲꬵꞙẝᶃƍᴑꬽꭇꭈƽꞟꭎꭒʋɯɣᶌỿꭚƅꞵʝꭓҽꙇгᴦϝϳϻσ"
    "ագզհյոռստցքօᎠᎡᎢᎥᎩᎪᎫᎬᎱᎳᎷᎻᎽᏀᏂᏃᏏᏒᏔᏕᏙᏚᏞᏟᏢᏦᏧᏳᏴⲅⲏⲓⲕⲙⲛⲟⲣⲥⲧⲩⲭⳑꓐꓑꓒꓓꓔꓖꓗꓙꓚꓜꓝꓟꓠꓡꓢꓣꓦꓧꓪꓫꓬꓮꓰꓲꓳꓴ"
    "\u3007\u110b\u4e05\u3112\u4e01\u4e2b\u30e1\u4e42\u3128\u3024\u1102\u3125\u3129\u51f5",
    "abekmhopctyxijsdqwhbyvgwabehikmvoptuxzyagijfbcdeghijklmnoprstuvwyz"
    "efffggoorrsuuuuwyyyybbjxeirrfjmo"
    "wqqhjnnusgfodrtiyajerwmhyghzbrwsvslcpkdgbrhlkmnopctyxlbpddtgkjczfmnlsrvhwxyaelou"
    "ootttyxxxxlluu",
)
"""Casefolded letters of other alphabets, and rare Latin ones, to the letters that they or their capitals look like."""


def look_alike(name: str, other: str) -> bool:
    """Return whether a person may mistake one name for the other.

    >>> look_alike("Ivo Berg", "lvo Berg"), look_alike("Ivo Berg", "IVO BERG"), look_alike("Alia", "Alla")
    (True, True, False)
    """
    return any(one == another for one, another in zip(_forms_of(name), _forms_of(other), strict=True))


def alike_among(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of names that a person cannot tell apart, without those that differ by capitals alone.

    Of the two groups of a name, names that read the same and names that look the same, the larger one counts.

    >>> alike_among(["BY", "KP", "\u0412Y", "kp"]) == [("BY", "\u0412Y")]
    True
    """
    forms = {name: tuple(enumerate(_forms_of(name))) for name in sorted({*names})}
    groups = defaultdict[tuple[int, str], list[str]](list)
    for name, places in forms.items():
        for place in places:
            groups[place].append(name)
    largest = {max(places, key=lambda place: len(groups[place])) for places in forms.values()}
    alike = {tuple(groups[place]) for place in largest}
    return sorted(group for group in alike if len({name.casefold() for name in group}) > 1)


def _forms_of(name: str) -> tuple[str, str]:
    """Return two forms of a name, as read and as seen; names that look alike have a form in common.

    As read, capital and small letters are the same. As seen, a capital I is a small L, and the small letters rn are an
    m.
    """
    wide = unicodedata.normalize("NFKC", name.translate(_SIGNS))
    return _folded(wide), _folded(wide.translate(_STROKES).replace("rn", "m"))


def _folded(name: str) -> str:
    small = unicodedata.normalize("NFKC", name.casefold()).translate(_LETTERS)
    return " ".join(small.replace("i\u0307", "i").replace("j\u0307", "j").split())
