"""Where keys stand."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.positions import key_lines, line_of

TEXT = '''\
# a comment with [brackets] and key = value
config_version = 1   # [not.a.table]

[smtp]
listen = [
    "tcp:25",        # ] = [
    'tcp:587',
]
text = """
max_size = 3
[imap]
\\""" still = "inside" """
raw = \'\'\'
[x]
\'\'\'\'
max_size = 10
"quoted key" . 'literal' = { inner = 1, more = [ "}" ] }
a.b . c = 2

  [ imap . "deep" ]  # with spaces
  x = 1979-05-27T07:32:00Z
[[many]]
y = "a # no comment"
[[many]]
y = 2
last = true'''


class KeyLinesTests(SynchronousTestCase):
    """Lines of keys and tables."""

    def test_every_form_of_key_and_value(self) -> None:
        """Strings of all kinds, lists over lines, inline tables, dotted and quoted keys, arrays of tables."""
        self.assertEqual(
            {
                ("config_version",): 2,
                ("smtp",): 4,
                ("smtp", "listen"): 5,
                ("smtp", "text"): 9,
                ("smtp", "raw"): 13,
                ("smtp", "max_size"): 16,
                ("smtp", "quoted key"): 17,
                ("smtp", "quoted key", "literal"): 17,
                ("smtp", "a"): 18,
                ("smtp", "a", "b"): 18,
                ("smtp", "a", "b", "c"): 18,
                ("imap",): 20,
                ("imap", "deep"): 20,
                ("imap", "deep", "x"): 21,
                ("many",): 22,
                ("many", "y"): 23,
                ("many", "last"): 26,
            },
            key_lines(TEXT),
        )

    def test_the_text_is_valid(self) -> None:
        """The scanner is only ever given what tomllib has read."""
        self.assertIn("smtp", tomllib.loads(TEXT))

    def test_unknown_path_has_the_line_of_its_table(self) -> None:
        """A missing key is reported at its table, a missing table at the top."""
        lines = key_lines(TEXT)
        self.assertEqual(4, line_of(lines, ("smtp", "missing", "deeper")))
        self.assertEqual(1, line_of(lines, ("ftp", "listen")))

    def test_carriage_returns(self) -> None:
        """A file saved elsewhere counts the same lines."""
        self.assertEqual(key_lines(TEXT), key_lines(TEXT.replace("\n", "\r\n")))

    def test_empty(self) -> None:
        """Nothing, and nothing but a comment."""
        self.assertEqual({}, key_lines(""))
        self.assertEqual({}, key_lines("# only this"))

    @given(st.text(st.sampled_from('ab=[]{}."\'#\n ,1\\'), max_size=40))
    def test_whatever_tomllib_reads_is_scanned(self, text: str) -> None:
        """No valid text makes the scanner fail or loop, and every top key is found."""
        try:
            read = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            return
        self.assertLessEqual({(key,) for key in read}, set(key_lines(text)))
