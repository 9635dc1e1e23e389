"""Frames: found whole, at every split, within their limit; nonsense told apart from what is not whole yet."""

from __future__ import annotations

import json
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.core.errors import REFUSALS, Invalid, TooLarge
from launcelot.protocols.questions.frames import JSON_BLOCKS, NETSTRINGS, BadFrame, Framing, question_in
from launcelot.testing.link import every_split

NAME = b"What is your name?"


def all_of(framing: Framing, data: bytes, most: int = 10_000) -> tuple[list[bytes], bytes]:
    """Every whole payload, and what is left."""
    found, start = [], 0
    while (one := framing.next(data, start, most)) is not None:
        payload, start = one
        found.append(payload)
    return found, data[start:]


class BothTests(SynchronousTestCase):
    """What holds for both framings."""

    def test_every_split(self) -> None:
        """Wherever the octets are cut, the same payloads are found."""
        for framing in (NETSTRINGS, JSON_BLOCKS):
            payloads = [b"one", b"", b"x" * 300, b"\xff,:\x00"]
            whole = b"".join(framing.frame(payload) for payload in payloads)
            for first, second in every_split(whole):
                found, left = all_of(framing, first)
                more, rest = all_of(framing, left + second)
                self.assertEqual((found + more, rest), (payloads, b""))

    def test_octet_by_octet(self) -> None:
        """No frame is found before its last octet."""
        for framing in (NETSTRINGS, JSON_BLOCKS):
            whole = framing.frame(NAME)
            for length in range(len(whole)):
                self.assertIsNone(framing.next(whole[:length], 0, 100))
            self.assertEqual(framing.next(whole, 0, 100), (NAME, len(whole)))

    def test_too_long_is_told_by_the_length(self) -> None:
        """Before any of it has come; what just fits is taken."""
        for framing in (NETSTRINGS, JSON_BLOCKS):
            self.assertIsNone(framing.next(framing.frame(b"a" * 100)[:6], 0, 100))
            error = self.assertRaises(BadFrame, framing.next, framing.frame(b"a" * 101)[:6], 0, 100)
            self.assertEqual(str(error), "question too long")

    @given(st.lists(st.binary(max_size=40)), st.randoms())
    def test_round_trip(self, payloads: list[bytes], random: Random) -> None:
        """Whatever is framed is found, in any pieces."""
        for framing in (NETSTRINGS, JSON_BLOCKS):
            data, found, left = b"".join(map(framing.frame, payloads)), list[bytes](), b""
            while data:
                size = random.randint(1, len(data))
                more, left = all_of(framing, left + data[:size])
                found += more
                data = data[size:]
            self.assertEqual((found, left), (payloads, b""))

    @given(st.binary(max_size=60))
    def test_nonsense(self, data: bytes) -> None:
        """It is a frame, not whole yet, or a BadFrame."""
        for framing in (NETSTRINGS, JSON_BLOCKS):
            try:
                found, left = all_of(framing, data, 50)
            except BadFrame:
                continue
            self.assertLessEqual(sum(map(len, found)) + len(left), len(data))

    def test_every_refusal_has_a_frame(self) -> None:
        """One, whatever its text."""
        for framing in (NETSTRINGS, JSON_BLOCKS):
            for kind in REFUSALS:
                for text in ("", "no. none", "gr\u00fc\u00df", "\ud800", "a" * 3000):
                    frame = framing.refusal(kind(text))
                    self.assertEqual(all_of(framing, frame)[1], b"")


class NetstringTests(SynchronousTestCase):
    """What is and is not a netstring."""

    def test_the_note_s_examples(self) -> None:
        """"hello world!", and the empty one."""
        self.assertEqual(NETSTRINGS.frame(b"hello world!"), b"12:hello world!,")
        self.assertEqual(NETSTRINGS.next(b"0:,", 0, 10), (b"", 3))

    def test_what_is_none(self) -> None:
        """Leading zeros, other octets, a length of ten digits, no comma."""
        for wrong in (b"03:abc,", b"00:,", b"x", b":", b"-1:", b"1", b"1x", b"9999999999", b"3:abcd", b" 3:abc,", b"\xff"):
            if wrong == b"1":
                self.assertIsNone(NETSTRINGS.next(wrong, 0, 10))
            else:
                self.assertRaises(BadFrame, NETSTRINGS.next, wrong, 0, 10)


class JsonTests(SynchronousTestCase):
    """What is and is not a question in JSON."""

    def test_questions(self) -> None:
        """Escaped or not, with other members or without."""
        for payload in (
            b'{"question":"What is your name?"}',
            b' {"id": 7, "question": "What is your\\u0020name?"}\n',
            json.dumps({"question": NAME.decode()}, indent=2).encode(),
        ):
            self.assertEqual(question_in(JSON_BLOCKS, payload, 100), NAME)

    def test_what_is_none(self) -> None:
        """Each is refused; none is a bug."""
        for wrong in (
            b"", b"{", b"[]", b"null", b'"What?"', b"{}", b'{"question": 3}', b'{"question": null}', b'{"question": "a\\ud800?"}',
            b'{"question": "\xff?"}', b"[" * 20_000, b'{"question": ' + b"9" * 20_000 + b"}", b"\xef\xbb\xbf{}",
        ):  # fmt: skip
            self.assertRaises(Invalid, question_in, JSON_BLOCKS, wrong, 100)

    def test_not_one_question(self) -> None:
        """What the table could not hold, the frame cannot ask."""
        for framing, payload in ((NETSTRINGS, b"%b"), (JSON_BLOCKS, b'{"question":"%b"}')):
            for wrong in (b"What", b"a?b?", b""):
                self.assertRaises(Invalid, question_in, framing, payload % wrong, 100)
            self.assertRaises(TooLarge, question_in, framing, payload % (b"a" * 100 + b"?"), 100)

    def test_the_longest_question_fits_with_every_character_escaped(self) -> None:
        """And one octet more is refused as a question, not as a frame."""
        payload = b'{"question":"' + b"\\u0061" * 99 + b"\\u003f" + b'"}'
        self.assertLessEqual(len(payload), JSON_BLOCKS.most(100))
        self.assertEqual(question_in(JSON_BLOCKS, payload, 100), b"a" * 99 + b"?")

    def test_answers_are_json(self) -> None:
        """Text beyond ASCII as it is, octets that are no text as escapes."""
        for answer, wanted in ((b"Blue.", "Blue."), ("Grün.".encode(), "Grün."), (b"\xff.", "\\xff.")):
            frame = JSON_BLOCKS.answer(answer)
            self.assertEqual(json.loads(frame[4:]), {"answer": wanted})
