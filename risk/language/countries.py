"""The countries there are: the codes of ISO 3166-1 alpha-2 as assigned in 2026, and XK, which the standard leaves free.

Kosovo has no code of the standard; XK is what the European Union, the IMF and SWIFT write.
"""

from collections.abc import Mapping
from typing import Final

_ASSIGNED = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA
CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA
GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP
KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS
MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS
RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW
TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
"""

COUNTRIES: Final = (*_ASSIGNED.split(), "XK")
"""Every code that a field of countries may hold, in alphabetical order but for the last."""

_MEANT: Final[Mapping[str, str]] = {"UK": "GB", "EL": "GR"}
"""Codes that the European Union writes otherwise."""


def described(code: str) -> str:
    """Write what was met in place of a country, with what would be right where that is known.

    >>> described("UK"), described("ZZ"), described("Norway")
    ('UK (GB in ISO 3166)', 'ZZ (not assigned in ISO 3166)', 'Norway')
    """
    if code in _MEANT:
        return f"{code} ({_MEANT[code]} in ISO 3166)"
    assigned = len(code) != 2 or not (code.isascii() and code.isalpha() and code.isupper())
    return code if assigned else f"{code} (not assigned in ISO 3166)"
