"""Virtual paths."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import Invalid
from launcelot.filestore.paths import DEPTH, decode, encode, resolve, text_of


class ResolveTests(SynchronousTestCase):
    """What a peer types stays in the tree."""

    def test_relative_and_absolute(self) -> None:
        """A leading slash starts at the root, everything else in the working folder."""
        table = [
            ((), "a", ("a",)),
            (("w",), "a/b", ("w", "a", "b")),
            (("w",), "/a//b/", ("a", "b")),
            (("w",), "", ("w",)),
            (("w",), ".", ("w",)),
            (("w",), "./a/./b", ("w", "a", "b")),
            (("w", "x"), "..", ("w",)),
            (("w", "x"), "../../../y", ("y",)),
            ((), "../" * 20 + "etc/passwd", ("etc", "passwd")),
            ((), "/..", ()),
            ((), "~root", ("~root",)),
            ((), "..\\x", ("..\\x",)),
            ((), "%2e%2e/x", ("%2e%2e", "x")),
            ((), "...", ("...",)),
        ]
        for cwd, text, path in table:
            self.assertEqual(resolve(cwd, text), path, (cwd, text))

    def test_refused_texts(self) -> None:
        """NUL, over-long names and over-deep paths are Invalid."""
        for text in ("a\0b", "x" * 256, "\u20ac" * 86, "a/" * (DEPTH + 1), "\ud800"):
            self.assertRaises(Invalid, resolve, (), text)
        self.assertRaises(Invalid, resolve, ("x",) * DEPTH, "y")
        self.assertEqual(len(resolve((), "a/" * DEPTH)), DEPTH)
        self.assertEqual(resolve((), "x" * 255), ("x" * 255,))

    def test_depth_counts_what_is_left(self) -> None:
        """Going up makes room again."""
        self.assertEqual(resolve(("x",) * DEPTH, "../y"), ("x",) * (DEPTH - 1) + ("y",))

    def test_text_of(self) -> None:
        """A path is written from the root."""
        self.assertEqual([text_of(()), text_of(("a", "b"))], ["/", "/a/b"])

    @given(st.binary(max_size=60))
    def test_octets_round_trip(self, octets: bytes) -> None:
        """Every octet sequence is decoded and encoded back exactly."""
        self.assertEqual(encode(decode(octets)), octets)

    @given(st.lists(st.sampled_from(["a", "..", ".", "", "b", "...", "\udcff"]), max_size=40))
    def test_no_text_leaves_the_root(self, parts: list[str]) -> None:
        """No result holds a name that means something else than a name."""
        path = resolve(("w",), "/".join(parts))
        self.assertFalse({"", ".", ".."} & set(path))
