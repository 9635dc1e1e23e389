"""Rights: letters, and the decision who has which."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Invalid
from launcelot.core.ids import AccountId
from launcelot.mailstore.rights import (
    ALL,
    NONE,
    Change,
    decide,
    identities,
    permitted,
    read_rights,
    right_for,
    write_rights,
)


class RightsTests(SynchronousTestCase):
    """RFC 4314 sections 2 and 4."""

    def test_letters(self) -> None:
        """Any order, any number of times; the old ones stand for two each and are told with either of theirs."""
        self.assertEqual(read_rights("rlr"), frozenset("lr"))
        self.assertEqual(read_rights("cd"), frozenset("kxte"))
        self.assertEqual(read_rights(""), NONE)
        self.assertEqual(write_rights(ALL), "lrswipkxteacd")
        self.assertEqual(write_rights(frozenset("el")), "led")
        self.assertEqual(write_rights(frozenset("x")), "xc")
        for wrong in ("q", "L", "lr1", "l r", "-l", "\u00e9"):
            self.assertRaises(Invalid, read_rights, wrong)

    def test_changes(self) -> None:
        """As SETACL has them."""
        self.assertEqual(Change.ADD.apply(frozenset("lr"), frozenset("rs")), frozenset("lrs"))
        self.assertEqual(Change.REMOVE.apply(frozenset("lr"), frozenset("rs")), frozenset("l"))
        self.assertEqual(Change.REPLACE.apply(frozenset("lr"), frozenset("s")), frozenset("s"))

    def test_decision(self) -> None:
        """The union of what fits, less what any negative entry that fits takes."""
        ann = identities(AccountId("1"), [AccountId("7")])
        self.assertEqual(ann, {"anyone", "account:1", "group:7"})
        entries = {
            "anyone": frozenset("l"),
            "account:1": frozenset("r"),
            "group:7": frozenset("swi"),
            "account:2": frozenset("a"),
            "group:1": frozenset("x"),
            "-group:7": frozenset("w"),
            "-anyone": frozenset("i"),
            "-account:2": ALL,
        }
        self.assertEqual(decide(entries, ann), frozenset("lrs"))
        self.assertEqual(decide(entries, identities(AccountId("3"), [])), frozenset("l"))
        self.assertEqual(decide({}, ann), NONE)

    def test_flags(self) -> None:
        """Each flag has its right, in any case; keywords that look alike are keywords."""
        self.assertEqual([right_for(flag) for flag in ("\\Seen", "\\DELETED", "\\Draft", "Seen", "x")], ["s", "t", "w", "w", "w"])
        self.assertEqual(permitted(["\\Seen", "\\Deleted", "x"], frozenset("st")), ["\\Seen", "\\Deleted"])
