"""The tests of the language, on one message."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.sieve.actions import Seen
from tests.sieve.kit import ALL, MESSAGE, holds, run, wants


class ConditionTests(SynchronousTestCase):
    """What is true of the message."""

    def yes(self, *tests: str, message: bytes = MESSAGE) -> None:
        """All of these are true."""
        for test in tests:
            self.assertTrue(holds(test, message), test)

    def no(self, *tests: str, message: bytes = MESSAGE) -> None:
        """None of these is."""
        for test in tests:
            self.assertFalse(holds(test, message), test)

    def test_logic(self) -> None:
        """RFC 5228 sections 5.2, 5.3, 5.8 and 5.10."""
        self.yes("true", "not false", "allof (true, true)", "anyof (false, true)")
        self.no("false", "not true", "allof (true, false)", "anyof (false, false)")

    def test_header(self) -> None:
        """Decoded, without blanks around, each field by itself.  RFC 5228 section 5.7."""
        self.yes(
            'header :is "subject" "i HAVE a présent for you"',
            'header :contains ["x-none", "Subject"] ["nothing", "PR"]',
            'header :is "x-num" "22"',
            'header :is "x-empty" ""',
            'header :contains "x-empty" ""',
            'header :matches "subject" "I have a *t for you"',
            'header :comparator "i;octet" :is "subject" "I have a présent for you"',
            'header :comparator "i;unicode-casemap" :contains "subject" "PRÉSENT"',
            'header :regex "subject" "pr(.)sent"',
        )
        self.no(
            'header :is "x-none" ""',
            'header :contains "x-none" ""',
            'header :comparator "i;octet" :is "subject" "i have a présent for you"',
            'header :contains "subject" "PRÉSENT"',
        )

    def test_relations(self) -> None:
        """Values and counts.  RFC 5231."""
        self.yes(
            'header :value "gt" :comparator "i;ascii-numeric" "x-num" "3"',
            'header :count "eq" :comparator "i;ascii-numeric" "x-num" "2"',
            'header :count "eq" "x-none" "0"',
            'address :count "eq" :comparator "i;ascii-numeric" ["to", "cc"] "3"',
            'header :value "lt" "x-num" "2"',
            'header :is :comparator "i;ascii-numeric" "x-num" "022"',
        )
        self.no('header :value "gt" :comparator "i;ascii-numeric" "x-num" "22"', 'header :count "ne" "x-num" "2"')

    def test_index(self) -> None:
        """One occurrence, from either end.  RFC 5260 section 6."""
        self.yes(
            'header :index 1 :is "x-num" "1"',
            'header :index 1 :last :is "x-num" "22"',
            'header :index 2 :last :is "x-num" "1"',
        )
        self.no('header :index 3 :contains "x-num" ""', 'header :index 0 :contains "x-num" ""', 'header :index 2 "x-num" "1"')

    def test_address(self) -> None:
        """Parts of addresses, those in groups, too.  RFC 5228 section 5.1, RFC 5233."""
        self.yes(
            'address :is "from" "Coyote@DESERT.example.org"',
            'address :domain "from" "desert.example.org"',
            'address :localpart "to" "roadrunner+news"',
            'address :user "to" "roadrunner"',
            'address :detail "to" "news"',
            'address :all :contains "to" "x@y"',
        )
        self.no('address "from" "Coyote"', 'address :detail "from" ""', 'address "x-none" ""')

    def test_envelope(self) -> None:
        """The envelope, an empty sender as an empty string.  RFC 5228 section 5.4."""
        self.yes('envelope "from" "coyote@desert.example.org"', 'envelope :detail "to" "news"')
        self.assertTrue(holds('envelope :domain "from" ""', sender=""))
        self.assertEqual(
            wants('require "envelope"; if envelope "x" "y" { discard; }'), ["error line 1: envelope knows from and to, not 'x'"]
        )

    def test_size_and_exists(self) -> None:
        """Octets of the whole message; fields that are all there."""
        size = len(MESSAGE)
        self.yes(f"size :over {size - 1}", f"size :under {size + 1}", 'exists ["from", "Subject"]', "not size :over 1M")
        self.no(f"size :over {size}", f"size :under {size}", 'exists ["from", "x-none"]')

    def test_body(self) -> None:
        """Raw, by type, and as text.  RFC 5173."""
        self.yes(
            'body :contains "café"',
            'body :text :contains "make money fast"',
            'body :raw :contains "caf=E9"',
            'body :raw :contains "epilogue"',
            'body :content "application/x-thing" :is "thing inside"',
            'body :content "text" :contains "café"',
            'body :content "multipart" :contains "preamble"',
            'body :content "" :contains "thing"',
        )
        self.no(
            'body :contains "caf=E9"',
            'body :contains "thing inside"',
            'body :contains "Content-Type"',
            'body :content "image" :contains ""',
            'body :content "/x" :contains ""',
            'body :content "text/" :contains ""',
        )

    def test_dates(self) -> None:
        """Parts of a date in a zone.  RFC 5260 section 4."""
        self.yes(
            'date :originalzone "date" "hour" "09"',
            'date :originalzone "date" "zone" "+0200"',
            'date "date" "hour" "07"',
            'date :zone "-0500" "date" "time" "02:30:15"',
            'date "date" "date" "2026-11-21"',
            'date "date" "weekday" "6"',
            'date "date" "iso8601" "2026-11-21T07:30:15Z"',
            'date :zone "+0130" "date" "iso8601" "2026-11-21T09:00:15+01:30"',
            'date "date" "julian" "61365"',
            'date "received" "day" "20"',
            'date :value "ge" "date" "year" "2026"',
            'date :contains "date" "std11" "21 Nov 2026"',
            'date :count "eq" "date" "month" "1"',
            'currentdate "date" "2026-11-22"',
            'currentdate :zone "+1300" "day" "23"',
            'currentdate :value "lt" "hour" "13"',
        )
        self.no('date "x-num" "year" "2026"', 'date "x-none" "year" "2026"', 'currentdate "weekday" "1"')
        zone = timezone(timedelta(hours=-3))
        self.assertTrue(holds('currentdate "zone" "-0300"', now=datetime(2026, 1, 1, tzinfo=zone)))

    def test_environment(self) -> None:
        """What is known of us; an unknown item never matches.  RFC 5183."""
        self.yes('environment "location" "MDA"', 'environment :contains "name" "launcelot"')
        self.no('environment "nothing" ""')
        self.assertTrue(holds('environment "remote-ip" "192.0.2.1"', environment={"remote-ip": "192.0.2.1"}))

    def test_mailboxes(self) -> None:
        """RFC 5490, RFC 8579."""
        there: dict[str, Any] = {
            "has_mailbox": lambda name: name in ("a", "b"),
            "has_use": lambda name, use: (name, use) == ("", "\\Junk"),
        }
        self.assertTrue(holds('mailboxexists ["a", "b"]', **there))
        self.assertFalse(holds('mailboxexists ["a", "c"]', **there))
        self.assertTrue(holds('specialuse_exists "\\\\Junk"', **there))
        self.assertFalse(holds('specialuse_exists "a" "\\\\Junk"', **there))

    def test_notification_methods(self) -> None:
        """RFC 5435 sections 4 and 5."""
        self.yes(
            'valid_notify_method "mailto:a@b.example?subject=x"',
            'notify_method_capability "mailto:a@b.example" "Online" "maybe"',
        )
        self.no('valid_notify_method ["mailto:a@b.example", "tel:123"]', 'valid_notify_method "mailto:"')

    def test_duplicates(self) -> None:
        """What was seen before; what is seen now is remembered once.  RFC 7352."""
        found = run(ALL + "if duplicate { discard; }")
        self.assertEqual(list(found.seen), [Seen("0:<m1@desert.example.org>", 604_800)])
        script = 'if anyof (duplicate :seconds 60, duplicate :header "message-id", duplicate :uniqueid "x") { discard; }'
        twice = run(ALL + script)
        self.assertEqual([one.key for one in twice.seen], ["0:<m1@desert.example.org>", "0:x"])
        seen: dict[str, Any] = {"seen": lambda key: key == "4:acts<m1@desert.example.org>"}
        self.assertTrue(holds('duplicate :handle "acts"', **seen))
        self.assertFalse(holds("duplicate", **seen))
        self.assertEqual(run(ALL + 'if duplicate :handle "acts" {}', **seen).seen, ())
        self.assertEqual(len(run(ALL + 'if duplicate :handle "acts" :last {}', **seen).seen), 1)
        self.assertEqual(run(ALL + 'if duplicate :header "x-none" {}').seen, ())
