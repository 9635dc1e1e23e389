"""I18NLEVEL=1.  RFC 5255 section 4, RFC 5051."""

from __future__ import annotations

from tests.protocols.imap4.world import ImapCase


class CasemapTests(ImapCase):
    """SEARCH, SORT and THREAD compare by i;unicode-casemap."""

    def setUp(self) -> None:
        super().setUp()
        for number, (subject, sender) in enumerate(
            (
                ("Caf\u00e9", "\u00c9mile"),
                ("CAFE\u0301 noir", "zoe"),
                ("Re: caf\u00c9", "\u00f6zg\u00fcr"),
                ("\u01c6ep", "_x"),
                ("stra\u00dfe", "Adam"),
            )
        ):
            head = f"Subject: {subject}\r\nFrom: {sender} <{sender[:1]}{number}@x>\r\nMessage-Id: <{number}@x>\r\n"
            kind = "Content-Type: text/plain; charset=utf-8"
            body = f"{head}Date: {number + 1} Jan 2026 10:00 +0000\r\n{kind}\r\n\r\nsaid: {subject}\r\n"
            self.fill(1, body.encode())
        self.link = self.log_in("INBOX")

    def found(self, command: str) -> bytes:
        """The response to a search."""
        return self.ask(self.link, command.encode())[0]

    def test_cases_and_compositions(self) -> None:
        """Cases and compositions are one in every key with a string; what the collation tells apart is apart."""
        for keys, found in (
            ('SUBJECT "cafe\u0301"', b" 1 2 3"),
            ('BODY "CAF\u00c9"', b" 1 2 3"),
            ('TEXT "Caf\u00e9 NOIR"', b" 2"),
            ("SUBJECT cafe", b" 1 2 3"),
            ('FROM "\u00e9MILE"', b" 1"),
            ('FROM "O\u0308ZGU\u0308R"', b" 3"),
            ('HEADER subject "\u01c4"', b" 4"),
            ('SUBJECT "STRA\u00dfE"', b" 5"),
            ("SUBJECT strasse", b""),
            ('SUBJECT "caf\u00e8"', b""),
        ):
            self.assertEqual(self.found("SEARCH CHARSET UTF-8 " + keys), b"* SEARCH" + found, keys)

    def test_sort(self) -> None:
        """By titlecase and decomposition: accents come behind their letters, the underline behind capitals."""
        self.assertEqual(self.found("SORT (SUBJECT) UTF-8 ALL"), b"* SORT 1 3 2 4 5")
        self.assertEqual(self.found("SORT (DISPLAYFROM) UTF-8 ALL"), b"* SORT 5 1 3 2 4")

    def test_thread(self) -> None:
        """Subjects that compare as equal are one thread."""
        self.assertEqual(self.found("THREAD ORDEREDSUBJECT UTF-8 ALL"), b"* THREAD (1 3)(2)(4)(5)")
        self.assertEqual(self.found("THREAD REFERENCES UTF-8 ALL"), b"* THREAD (1 3)(2)(4)(5)")


class SqliteTests(CasemapTests):
    """The same on files."""

    in_files = True
