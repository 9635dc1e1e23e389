"""
Which replies each verb has: the table behind the README's, and what picks between two words for one refusal.

RFC 959 section 5.4 lists the codes of its verbs; what we send beyond those has its reason in :data:`BEYOND`, as RFC 1123 section
4.1.2.11 allows it under the rules of RFC 959 section 4.2.  The tests hold every reply that they hear against :data:`SENT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """
    Why some verbs have a code that RFC 959 section 5.4 does not give them.

    :ivar verbs: of that RFC.
    """

    code: int
    verbs: frozenset[str]
    why: str


def _codes(text: str) -> frozenset[int]:
    return frozenset(map(int, text.split()))


def _verbs(text: str) -> frozenset[str]:
    return frozenset(text.split())


GOODBYE = 421
"""May answer any verb, and may come by itself: too slow, too long, stopping, logged out by the administrator."""

NOT_LOGGED_IN = 530
"""Answers every verb that needs somebody to have logged in."""

_SENDS = "150 226 425 426 451 521 522"
_STORES = f"{_SENDS} 452 550 552 553"

_SENT = {
    "ABOR": "225 226 501",
    "ALLO": "202 501",
    "APPE": f"{_STORES} 501",
    "AUTH": "234 501 502 503 504",
    "AVBL": "213 451 550",
    "CCC": "501 534",
    "CDUP": "250 451 501 550",
    "CLNT": "200",
    "CWD": "250 451 501 550",
    "DELE": "250 451 501 550",
    "EPRT": "200 501 503 522",
    "EPSV": "200 229 425 501 522",
    "FEAT": "211 501",
    "HASH": "213 451 501 550",
    "HELP": "214 502",
    "HOST": "220 501 503 504",
    "LANG": "200 504",
    "LIST": f"{_SENDS} 501 550",
    "MDTM": "213 451 501 550",
    "MFF": "213 451 501 504 550",
    "MFMT": "213 451 501 550",
    "MKD": "257 451 452 501 550",
    "MLSD": f"{_SENDS} 501 550",
    "MLST": "250 451 550",
    "MODE": "200 501 504",
    "NLST": f"{_SENDS} 501 550",
    "NOOP": "200 501",
    "OPTS": "200 501 504",
    "PASS": "230 451 503 530",
    "PASV": "227 425 501 503",
    "PBSZ": "200 501 503",
    "PORT": "200 501 503",
    "PROT": "200 501 503 504 534 536",
    "PWD": "257 501",
    "QUIT": "221 501",
    "REIN": "220 501",
    "REST": "350 501",
    "RETR": f"{_SENDS} 501 550 554",
    "RMD": "250 451 501 550",
    "RNFR": "350 451 501 550",
    "RNTO": "250 451 501 503 553",
    "SITE": "200 213 214 451 501 504 530 550",
    "SIZE": "213 451 501 550",
    "STAT": "211 213 451 501 530 550",
    "STOR": f"{_STORES} 501 554",
    "STOU": _STORES,
    "STRU": "200 501 504",
    "SYST": "215 501",
    "TYPE": "200 501 504",
    "USER": "331 501 530",
    "XSHA256": "250 451 501 550",
}

SAME = {"XCUP": "CDUP", "XCWD": "CWD", "XMKD": "MKD", "XPWD": "PWD", "XRMD": "RMD"}
"""Old names of verbs."""

SENT: Mapping[str, frozenset[int]] = {
    **{verb: _codes(text) for verb, text in _SENT.items()},
    **{old: _codes(_SENT[verb]) for old, verb in SAME.items()},
}
"""By verb, every code it is answered with, but :data:`GOODBYE` and :data:`NOT_LOGGED_IN`."""

_INSTEAD = {550: 553, 553: 550}
"""Two words for a name that cannot be had; section 5.4 gives most verbs one of them only."""


def fitting(code: int, verb: str) -> int:
    """The code of a refusal, or the verb's own word for it."""
    sent = SENT.get(verb, frozenset())
    other = _INSTEAD.get(code, code)
    return other if code not in sent and other in sent else code


_TRANSFERS = _verbs("APPE LIST NLST RETR STOR STOU")

BEYOND = (
    Reason(213, _verbs("SITE"), "SITE KEPT tells a size; what stands behind SITE is ours alone"),
    Reason(214, _verbs("SITE"), "SITE HELP, likewise"),
    Reason(250, _verbs("CDUP"), "section 4.1.1 wants the codes of CWD, section 5.4 has 200; clients take either"),
    Reason(425, _verbs("PASV"), "no port is free now; section 4.2 has 4yz for what is worth another try"),
    Reason(425, _TRANSFERS, "without 150 before it where neither PASV nor PORT was said: the default data port is not used"),
    Reason(
        451,
        _verbs("CDUP CWD DELE MKD PASS RMD RNFR RNTO SITE STAT"),
        "the store cannot answer now; 4yz as section 4.2 wants it, and 421 would end the session",
    ),
    Reason(452, _verbs("MKD"), "the disk is full, likewise"),
    Reason(501, _verbs("NOOP QUIT REIN"), "an argument where there is none; 500 would mean that the verb is not known"),
    Reason(503, _verbs("PASV PORT"), "behind EPSV ALL.  RFC 2428 section 4"),
    Reason(504, _verbs("SITE"), "a word behind SITE that is not known"),
    Reason(521, _TRANSFERS, "data connections must be protected here.  RFC 4217"),
    Reason(522, _TRANSFERS, "TLS on the data connection did not resume the control connection's session.  RFC 4217"),
    Reason(530, _verbs("ABOR PWD"), "nobody has logged in; section 5.4 forgot it there"),
    Reason(
        550,
        _verbs("LIST NLST STAT"),
        "no such file or folder; 450 would have clients ask again and again.  RFC 3659 section 7.2.1 has it for MLSD",
    ),
    Reason(550, _verbs("SITE"), "no such file"),
    Reason(550, _verbs("STOR STOU"), "behind 150: its folder has gone meanwhile, or a folder has its name"),
    Reason(554, _verbs("RETR STOR"), "REST was past the end, or in TYPE A.  RFC 1123 section 4.1.3.4"),
)
"""What section 5.4 does not list."""
