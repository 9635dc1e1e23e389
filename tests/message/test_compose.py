"""Messages the daemon writes itself, read back by the standard library."""

from __future__ import annotations

import email
import email.message
import email.policy
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Invalid
from launcelot.message.address import Address, parse_mailbox
from launcelot.message.analysis import analyse
from launcelot.message.compose import encoded_words, plain_message, unstructured
from launcelot.message.headers import decode_words

WHEN = datetime(2026, 11, 20, 10, 0, 0, tzinfo=UTC)
ME = Address("me", "example.org")
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=200)


def parsed(data: bytes) -> email.message.EmailMessage:
    """The message as the standard library sees it."""
    found = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(found, email.message.EmailMessage)
    return found


class PlainMessageTests(SynchronousTestCase):
    """``plain_message``."""

    def test_ascii(self) -> None:
        """Octet for octet."""
        self.assertEqual(
            plain_message(ME, [parse_mailbox("a@b.c"), parse_mailbox("d@e.f")], "Hello there", "one\ntwo", WHEN, "1@x"),
            b"Date: Fri, 20 Nov 2026 10:00:00 +0000\r\nFrom: me@example.org\r\nTo: a@b.c, d@e.f\r\nSubject: Hello there\r\n"
            b"Message-ID: <1@x>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n"
            b"Content-Transfer-Encoding: 7bit\r\n\r\none\r\ntwo\r\n",
        )

    def test_other_text(self) -> None:
        """Names, subjects and text beyond ASCII, long lines, dots and mixed line ends."""
        text = "Grüße\r.\rFrom me\n" + "x" * 2000 + "\r\n\u20ac\n"
        found = parsed(
            plain_message(
                ME,
                [],
                "Grüße " * 30,
                text,
                WHEN,
                "<1@x>",
                sender_name="Jürgen",
                extra=[("Auto-Submitted", "auto-generated")],
            )
        )
        self.assertEqual(found["subject"], "Grüße " * 30)
        self.assertEqual(found["from"], "Jürgen <me@example.org>")
        self.assertEqual(found["to"], "undisclosed-recipients:;")
        self.assertEqual(found["auto-submitted"], "auto-generated")
        self.assertEqual(found.get_content().replace("\r\n", "\n"), text.replace("\r\n", "\n").replace("\r", "\n"))

    def test_names(self) -> None:
        """A display name is written so that it is read back."""
        for name in ("Joe", "Joe Q. Public", 'Joe "X" Public', "Doe, Joe", "=?utf-8?q?x?=", "ü"):
            found = parsed(plain_message(ME, [ME], "s", "t", WHEN, "1@x", sender_name=name))
            self.assertEqual(found["from"].addresses[0].display_name, name)
            self.assertEqual(found["from"].addresses[0].addr_spec, "me@example.org")

    def test_many_recipients_are_folded(self) -> None:
        """Lines stay short."""
        data = plain_message(ME, [Address(f"user{n}", "example.org") for n in range(100)], "s", "t", WHEN, "1@x")
        self.assertLessEqual(max(map(len, data.split(b"\r\n"))), 78)
        self.assertEqual(len(parsed(data)["to"].addresses), 100)

    def test_line_ends(self) -> None:
        """Every line ends in CRLF, the last one too; no text is no line."""
        for text, expected in [("a\nb", b"a\r\nb\r\n"), ("a\r\nb\r", b"a\r\nb\r\n"), ("", b""), ("\n", b"\r\n")]:
            data = plain_message(ME, [ME], "s", text, WHEN, "1@x")
            self.assertEqual(data.partition(b"\r\n\r\n")[2], expected)

    def test_controls_are_refused(self) -> None:
        """No header text can bring a line break or another control along (case S11)."""
        for bad in ("a\r\nBcc: x", "a\nb", "a\rb", "a\0b", "a\x1bb"):
            for arguments in ({"sender_name": bad}, {"extra": [("X", bad)]}):
                with self.assertRaises(Invalid):
                    plain_message(ME, [ME], "s", "t", WHEN, "1@x", **arguments)
            with self.assertRaises(Invalid):
                plain_message(ME, [ME], bad, "t", WHEN, "1@x")
            with self.assertRaises(Invalid):
                plain_message(ME, [ME], "s", "t", WHEN, bad)

    @given(TEXTS, st.text(max_size=200))
    def test_any_subject_and_text(self, subject: str, text: str) -> None:
        """Any subject comes back, for us and for the standard library, and lines are lines."""
        data = plain_message(ME, [ME], subject, text, WHEN, "1@x")
        self.assertEqual(analyse(data).subject, subject.strip(" "))
        self.assertNotRegex(data, rb"(?<!\r)\n|\r(?!\n)")
        self.assertLessEqual(max(map(len, data.split(b"\r\n"))), 998)


class WordTests(SynchronousTestCase):
    """Encoded-words."""

    @given(TEXTS)
    def test_words_are_lawful(self, text: str) -> None:
        """Not longer than 75, no character split, and the text comes back."""
        words = encoded_words(text)
        self.assertLessEqual(max(map(len, words)), 75)
        self.assertEqual("".join(decode_words(f"x{word}x".encode())[1:-1] for word in words), text)

    def test_only_when_needed(self) -> None:
        """Plain words stay plain; what would be misread or changed is encoded."""
        self.assertEqual(unstructured("a b"), ["a", "b"])
        self.assertEqual(unstructured(""), [])
        for text in ("a  b", " a", "=?utf-8?q?a?=", "a\tb", "x" * 2000, "ü"):
            self.assertTrue(unstructured(text)[0].startswith("=?utf-8?b?"), text)
