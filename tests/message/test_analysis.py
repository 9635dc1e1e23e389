"""What is computed at delivery, and the text SEARCH sees."""

from __future__ import annotations

import base64
import email.message
import email.policy
import mmap
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.analysis import Analysis, analyse, body_text, header_text, part_text
from launcelot.message.headers import collect, parse_parameters
from launcelot.message.imapform import body, envelope
from launcelot.message.sections import PartTable
from launcelot.message.structure import parse
from tests.bounded import linear
from tests.message.messages import RFC3501, crlf
from tests.message.test_headers import HOSTILE
from tests.message.test_imapform import read
from tests.message.test_structure import BOMBS

MESSAGE = crlf(
    """\
Date: Fri, 20 Nov 2026 10:00:00 +0100
From: =?utf-8?q?J=C3=9CRGEN?= <Juergen@example.org>
To: Team: a@b, C@d;
Cc: "Last, First" <First@x>
Bcc: hidden@x
Subject: Re: [list] =?utf-8?q?Gr=C3=BC?= =?utf-8?q?=C3=9Fe?= (fwd)
Message-ID: <1@x>
In-Reply-To: <0@x> <9@x>

body
"""
)


class AnalyseTests(SynchronousTestCase):
    """One look at a message."""

    def test_all_members(self) -> None:
        """Every member of an ordinary message."""
        part = parse(MESSAGE)
        self.assertEqual(
            analyse(MESSAGE),
            Analysis(
                envelope=envelope(MESSAGE, part),
                body=body(part, False),
                body_structure=body(part, True),
                parts=PartTable.encode(part),
                size=len(MESSAGE),
                header_size=len(MESSAGE) - 6,
                sent=datetime(2026, 11, 20, 9, 0, 0, tzinfo=UTC),
                subject="Re: [list] Grüße (fwd)",
                base_subject="gru\u0308ße",
                from_key="ju\u0308rgen <juergen@example.org>",
                to_key="team: a@b, c@d;",
                cc_key='"last, first" <first@x>',
                bcc_key="hidden@x",
                sort_from="juergen",
                sort_to="team",
                sort_cc="first",
                message_id="<1@x>",
                references=("<0@x>",),
            ),
        )

    def test_references_come_first(self) -> None:
        """RFC 5256 section 3: In-Reply-To counts only without References."""
        found = analyse(b"References: <a@x>\r\n <b@x>\r\nIn-Reply-To: <c@x>\r\n\r\n")
        self.assertEqual(found.references, ("<a@x>", "<b@x>"))

    def test_nothing(self) -> None:
        """A message without anything has empty members."""
        found = analyse(b"")
        self.assertEqual(
            (found.size, found.header_size, found.sent, found.message_id, found.references), (0, 0, None, None, ())
        )
        self.assertEqual((found.subject, found.base_subject, found.from_key, found.sort_from), ("", "", "", ""))
        self.assertEqual(read(found.envelope), [None] * 10)

    def test_memory_map(self) -> None:
        """A mapped file gives the same."""
        for data in (MESSAGE, RFC3501):
            with mmap.mmap(-1, len(data)) as view:
                view[:] = data
                self.assertEqual(analyse(view), analyse(data))

    @given(st.binary(max_size=300))
    def test_any_octets(self, data: bytes) -> None:
        """No octets raise, and every ready answer is well-formed."""
        found = analyse(data)
        for value in (found.envelope, found.body, found.body_structure):
            read(value)
        PartTable.decode(found.parts)

    def test_every_cut(self) -> None:
        """A message cut off anywhere, and one with any octet changed."""
        for at in range(len(RFC3501)):
            for data in (RFC3501[:at], RFC3501[:at] + b"\xff" + RFC3501[at + 1 :], RFC3501[:at] + b"\n" + RFC3501[at:]):
                found = analyse(data)
                self.assertEqual(found.size, len(data))
                read(found.body_structure)

    def test_hostile_headers(self) -> None:
        """Case S19: each hostile value in each field that is read costs linear time."""
        for name, value in HOSTILE.items():
            for field in (b"Subject", b"To", b"From", b"Date", b"References", b"Content-Type", b"Content-Disposition"):
                data = field + b": " + value + b"\r\n\r\nbody\r\n"
                with linear(f"{name} in {field!r}"):
                    analyse(data)

    def test_bombs(self) -> None:
        """Case S20: everything that delivery computes is linear, and well-formed."""
        for name, data in BOMBS.items():
            with linear(name):
                found = analyse(data)
            self.assertEqual(found.size, len(data))
            PartTable.decode(found.parts)


PRINTABLE = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp", "Cn", "Co")), max_size=80)


class OracleTests(SynchronousTestCase):
    """What the standard library encodes is decoded to what it was."""

    @given(st.lists(PRINTABLE, min_size=1, max_size=4), st.sampled_from(["8bit", "base64", "quoted-printable"]))
    def test_text(self, lines: list[str], encoding: str) -> None:
        """Any text in each transfer encoding."""
        text = "".join(f"{line}\n" for line in lines)
        message = email.message.EmailMessage(policy=email.policy.SMTP)
        message.set_content(text, charset="utf-8", cte=encoding)
        data = message.as_bytes()
        self.assertEqual(part_text(data, parse(data)).replace("\r\n", "\n"), text)

    @given(PRINTABLE)
    def test_file_names(self, name: str) -> None:
        """Any file name, which the library writes as RFC 2231 segments when it must."""
        message = email.message.EmailMessage(policy=email.policy.SMTP)
        message.set_content(b"x", maintype="application", subtype="x", filename=f"x{name}x")
        value = collect(message.as_bytes())[b"content-disposition"]
        self.assertEqual(parse_parameters(value), (b"attachment", {"filename": f"x{name}x"}))

    @given(PRINTABLE)
    def test_subjects(self, subject: str) -> None:
        """Any subject, whichever way the library folds and encodes it."""
        message = email.message.EmailMessage(policy=email.policy.SMTP)
        message["Subject"] = f"x{subject}x"
        self.assertEqual(analyse(message.as_bytes()).subject, f"x{subject}x")


class TextTests(SynchronousTestCase):
    """Charset-decoded text for SEARCH."""

    def test_header_text(self) -> None:
        """Unfolded and decoded, one field a line."""
        data = crlf("Subject: =?utf-8?q?=C3=BC?=\n =?utf-8?q?=C3=BC?=\nX:\n y\n\nbody")
        self.assertEqual(header_text(data, parse(data)), "Subject: üü\nX: y")

    def test_transfer_encodings_and_charsets(self) -> None:
        """Base64 and quoted-printable, known, unknown and missing charsets."""
        for header, content, expected in [
            ("text/plain; charset=utf-8", "grün".encode(), "grün"),
            ("text/plain; charset=iso-8859-1", b"gr\xfcn", "grün"),
            ("text/plain; charset=no-such", b"gr\xfcn", "grün"),
            ("text/plain", "grün".encode(), "grün"),
            ("text/plain; charset=us-ascii", b"gr\xfcn", "grün"),
            ("text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable", b"gr=C3=BC=\r\nn", "grün"),
            (
                "text/plain; charset=utf-8\r\nContent-Transfer-Encoding: BASE64",
                base64.encodebytes("grün".encode()),
                "grün",
            ),
            ("text/plain; charset=utf-8\r\nContent-Transfer-Encoding: x-uue", b"gr", "gr"),
        ]:
            data = b"Content-Type: " + header.encode() + b"\r\n\r\n" + content
            self.assertEqual(part_text(data, parse(data)), expected, header)

    def test_body_text(self) -> None:
        """Texts and inner headers in order; no attachments, no header of the message itself."""
        texts = list(body_text(RFC3501, parse(RFC3501)))
        joined = "\n".join(texts)
        self.assertIn("1 plain", texts)
        self.assertIn("4.2.2.2", texts)
        self.assertIn("Subject: 4.2\n", joined)
        self.assertNotIn("Terry Gray", joined)
        self.assertNotIn("Mg==", joined)
        self.assertLess(joined.index("1 plain"), joined.index("3.1"))

    def test_body_text_without_headers(self) -> None:
        """The same texts without any part's or embedded message's header: what SEARCH BODY looks at (Dovecot agrees)."""
        part = parse(RFC3501)
        joined = "\n".join(body_text(RFC3501, part, headers=False))
        self.assertIn("1 plain", joined)
        self.assertIn("4.2.2.2", joined)
        self.assertNotIn("Subject:", joined)
        self.assertNotIn("Content-Type", joined)

    def test_delivery_reports_are_text(self) -> None:
        """What a report says can be found; what is neither text nor message is not looked into."""
        for kind, expected in (("message/delivery-status", ["Action: failed"]), ("application/x", [])):
            data = f"Content-Type: {kind}\r\n\r\nAction: failed".encode()
            self.assertEqual(list(body_text(data, parse(data))), expected)

    def test_limit(self) -> None:
        """No more characters than asked for, over all parts."""
        for limit in (0, 1, 5, 50, 1000):
            self.assertLessEqual(sum(map(len, body_text(RFC3501, parse(RFC3501), limit))), limit)
        data = b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(b"x" * 100_000)
        self.assertEqual(part_text(data, parse(data), 10), "x" * 10)

    def test_bombs(self) -> None:
        """Looking through a bomb is linear."""
        for name, data in BOMBS.items():
            part = parse(data)
            with linear(name):
                sum(map(len, body_text(data, part)))
                header_text(data, part)

    @given(
        st.binary(max_size=60),
        st.sampled_from(["base64", "quoted-printable", "8bit"]),
        st.sampled_from(["utf-8", "utf-7", "iso-2022-jp", "x"]),
    )
    def test_any_octets(self, content: bytes, encoding: str, charset: str) -> None:
        """No octets raise."""
        head = f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        data = head.encode() + content
        self.assertLessEqual(len(part_text(data, parse(data))), len(content))
