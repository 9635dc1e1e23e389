"""Mail as tests look at it."""

from __future__ import annotations

import re
from email.message import EmailMessage

from twisted.trial.unittest import SynchronousTestCase

from launcelot.testing.matching import contains
from launcelot.testing.messages import Message, Wish


def message(raw: bytes) -> Message:
    """For somebody."""
    return Message("Ann@test", "app@test", raw)


class MessageTests(SynchronousTestCase):
    """What is in it."""

    def test_parts_text_html_links(self) -> None:
        """Of a message with everything."""
        letter = EmailMessage()
        letter["Subject"] = "Grüße"
        letter.set_content("Hello <https://a.example/x>, bye (https://a.example/y).\n")
        letter.add_alternative('<p><a href="https://a.example/ok">Yes, <b>confirm</b></a></p>', subtype="html")
        letter.add_attachment(b"\x89PNG", maintype="image", subtype="png", filename="dot.png")
        found = message(letter.as_bytes().replace(b"\n", b"\r\n"))
        self.assertEqual(found.subject, "Grüße")
        self.assertEqual(found.text, "Hello <https://a.example/x>, bye (https://a.example/y).\n")
        self.assertEqual(found.links, ("https://a.example/ok", "https://a.example/x", "https://a.example/y"))
        self.assertEqual(found.link("confirm"), "https://a.example/ok")
        self.assertEqual([part.type for part in found.parts], ["text/plain", "text/html", "image/png"])
        self.assertEqual([(part.name, part.octets) for part in found.attachments], [("dot.png", b"\x89PNG")])
        self.assertIn("'Yes, confirm'", str(self.assertRaises(LookupError, found.link, "cancel")))

    def test_nonsense_is_looked_at_without_complaint(self) -> None:
        """Whatever peers may send."""
        for raw in (
            b"",
            b"\xff\xfe",
            b"Subject: =?x?q?\xff?=\r\nContent-Type: text/plain; charset=no-such\r\n\r\n\xff\r\n",
            b"Content-Type: multipart/mixed\r\n\r\nx",
            b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!<a href>",
            b"Subject: \r\n\tx\0\r\nFrom: <<>>\r\n\r\n",
        ):
            found = message(raw)
            self.assertIsInstance((found.subject, found.text, found.html, found.links, repr(found)), tuple, raw)

    def test_wishes(self) -> None:
        """Texts as a whole, addresses whatever their case, expressions, functions."""
        found = message(b"Subject: News of May\r\n\r\nhi\r\n")
        for wish, granted in (
            (Wish(), True),
            (Wish(to="ann@TEST"), True),
            (Wish(to="ann"), False),
            (Wish(subject="News"), False),
            (Wish(subject="news of may"), False),
            (Wish(subject=contains("News")), True),
            (Wish(subject=re.compile("of M.y$")), True),
            (Wish(text="hi\n", sender="app@test"), True),
            (Wish(to="ann@test", text="ho"), False),
        ):
            self.assertEqual(wish.grants(found), granted, wish)
        self.assertEqual(str(Wish(to="a@b", subject=contains("x"))), "to='a@b', subject=contains(part='x')")
