"""Previews."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.preview import MAX_PREVIEW, cleaned, preview, without_markup
from tests.bounded import linear, many

HTML = b"Content-Type: text/html; charset=utf-8\r\n\r\n"


def of(message: bytes) -> str:
    """The preview of a whole message."""
    return preview(message, True)[0]


class PreviewTests(SynchronousTestCase):
    """What is shown of a message."""

    def test_plain_text(self) -> None:
        """One line, decoded, without quotations and signature where something else is said."""
        for message, text in (
            (b"Subject: x\r\n\r\nHello  Joe,\r\n\r\nhow are you?\r\n", "Hello Joe, how are you?"),
            (b"\r\n> he said\r\n>> and she\r\nThat is right.\r\n-- \r\nAnn", "That is right."),
            (b"\r\n> only quoted\r\n", "> only quoted"),
            (b"Content-Type: text/plain; charset=l1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9", "café"),
            (b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n4oKsIDEwMA==", "€ 100"),
            (b"Content-Type: text/plain; charset=utf-8\r\n\r\nA\xe2\x80\x8bB\0\x07C\xef\xbb\xbf", "ABC"),
            (b"", ""),
            (b"Subject: x\r\n\r\n", ""),
            (b"Subject: no body", ""),
        ):
            self.assertEqual(of(message), text)

    def test_html(self) -> None:
        """Tags, comments, styles and scripts go; words stay apart and whole; entities are read."""
        for markup, text in (
            ("<p>Hel<b>lo</b></p><p>World</p>", "Hello World"),
            ("<title>T</title><style>p { color: red }</style><script>if (a < b) x()</script>Text", "Text"),
            ("a<br>b<br/>c<td>d", "a b c d"),
            ("&lt;&amp;&#8364;&#x20AC;&nbsp;&unknown; &copy", "<&€€ &unknown; ©"),
            ("1 < 2 > 0 <- &", "1 < 2 > 0 <- &"),
            ("<!-- hidden <p>x</p> -->seen<!DOCTYPE html><?xml ?>", "seen"),
            ("<a title='a > b' href=\"x>y\">link</a>", "link"),
            ("<STYLE>x</STYLE><SCRIPT>y</ScRiPt>z", "z"),
            ("<script>never closed", ""),
            ("<!-- never closed", ""),
            ("text <a href=\"never closed", "text"),
            ("<script/>after", "after"),
            ("&#99999999;&#xD800;&#0;", "&#99999999;\ufffd\ufffd"),
        ):
            self.assertEqual(of(HTML + markup.encode()), text, markup)

    def test_which_part(self) -> None:
        """The first text that says something and is no attachment; what is encrypted says nothing."""
        head = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        for parts, text in (
            ((b"\r\n\r\n", HTML + b"<p>said</p>"), "said"),
            ((b"Content-Disposition: attachment\r\n\r\nfile", b"\r\ntext"), "text"),
            ((b"Content-Type: image/png\r\n\r\npicture", b"Content-Type: text/calendar\r\n\r\nBEGIN", b"\r\ntext"), "text"),
            ((b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninside",), "inside"),
            ((b"Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1",), ""),
        ):
            self.assertEqual(of(head + b"".join([b"--b\r\n%b\r\n" % part for part in parts]) + b"--b--"), text)

    def test_length(self) -> None:
        """200 characters at most, of whatever size."""
        for letter in ("x", "é", "€", "𝄞"):
            body = (letter * 300).encode()
            self.assertEqual(of(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + body), letter * MAX_PREVIEW)
        self.assertLessEqual(len(cleaned("word " * 100)), MAX_PREVIEW)

    def test_beginning_of_a_message(self) -> None:
        """Whether more octets would change anything is told."""
        long = b"Subject: x\r\n\r\n" + b"word " * 100
        self.assertTrue(preview(long[:400], False)[1])
        self.assertFalse(preview(b"Subject: x\r\n\r\nshort", False)[1])
        self.assertFalse(preview(HTML + b"<style>" + b"p{}" * 1_000, False)[1])
        ended = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nshort\r\n--b\r\nContent-Type: image/png\r\n\r\nxx"
        self.assertEqual(preview(ended, False), ("short", True))

    def test_linear(self) -> None:
        """Linear on what is hardest."""
        for bad in (
            "<", '<a "', "<a '", "<!--", "<style>", '<a ">" ', "&#1;", "&amp;", "< ", "\u200b ", "</", "<a b=", "<script", ">",
            "\u0130<b>", "<a>", "<script></script>",
        ):  # fmt: skip
            for end in ("", "'", '"', ">") if bad[0] != "<" or bad[-1] != ">" else ("",):
                with linear(bad + end):
                    cleaned(without_markup(many(bad) + end))
