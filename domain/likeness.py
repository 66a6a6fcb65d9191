"""Which names a person cannot tell apart.

The tables are the part of Unicode's skeletons (UTS 39) that concerns names in Latin, Cyrillic and Greek letters.
"""

import unicodedata
from typing import Final

_SIGNS: Final = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u2043\u02d7", "-")
    | dict.fromkeys("\u2019\u2018\u201b\u02bc\u02b9\u2032\u2035\u00b4`\u02bb\u02bd\u02c8\ua78c\u055a", "'")
    | dict.fromkeys("1|\u01c0\u0196\u217c\u0399\u0406\u04c0\u04cf", "l")
    | {"0": "o", "\u0131": "i", "\u201a": ","}
)
"""Signs to the one that they look like, before Unicode's own folding, which takes some of them apart."""
_LETTERS: Final = str.maketrans(
    "авекмнорстухіјѕԁԛԝһьүѵԍѡαβεηικμνορτυχζγɑɡɩȷƒʙᴄᴅᴇɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "abekmhopctyxijsdqwhbyvgwabehikmvoptuxzyagijfbcdeghijklmnoprstuvwyz",
)
"""Small letters of Cyrillic, Greek and rare ones of Latin to those that they, or their capitals, look like."""


def look_alike(name: str, other: str) -> bool:
    """Tell whether a person may take one name for the other.

    >>> look_alike("Ivo Berg", "lvo Berg"), look_alike("Ivo Berg", "IVO BERG"), look_alike("Alia", "Alla")
    (True, True, False)
    """
    return not _likenesses_of(name).isdisjoint(_likenesses_of(other))


def _likenesses_of(name: str) -> set[str]:
    """Write a name so that those which look alike are written alike: I as i, and I as l, which i does not look like."""
    wide = unicodedata.normalize("NFKC", name.translate(_SIGNS))
    return {_folded(wide), _folded(wide.replace("I", "l"))}


def _folded(name: str) -> str:
    small = unicodedata.normalize("NFKC", name.casefold()).translate(_LETTERS)
    one_dot = small.replace("i\u0307", "i").replace("j\u0307", "j")
    return " ".join(one_dot.replace("rn", "m").split())
