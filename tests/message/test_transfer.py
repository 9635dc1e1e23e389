"""Undoing transfer encodings, and writing parts with NULs anew."""

from __future__ import annotations

import base64
import binascii
import re
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from launcelot.message.recode import EIGHT_BIT, Unencodable, plan, recoded
from launcelot.message.structure import parse
from launcelot.message.transfer import MAX_BLANKS, decoder
from tests.bounded import linear, many


def decoded(encoding: bytes, data: bytes, cuts: list[int]) -> bytes:
    """What comes out when the data is fed in pieces that end at some offsets."""
    decoding = decoder(encoding)
    assert decoding is not None
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found.append(decoding.feed(data[start:end]))
    return b"".join([*found, decoding.end()])


def plain_quoted_printable(data: bytes) -> bytes:
    """RFC 2045 section 6.7 line by line, slowly: first what transports have added, then soft breaks and escapes."""
    clean = b""
    for piece in re.split(rb"(?<=\n)", data):
        end = b"\r\n" if piece.endswith(b"\r\n") else piece[-1:] if piece.endswith(b"\n") else b""
        line = piece.removesuffix(end)
        bare = line.rstrip(b" \t")
        clean += (bare if len(line) - len(bare) <= MAX_BLANKS else line) + end
    found = b""
    for piece in re.split(rb"(?<=\n)", clean):
        line = re.sub(rb"=\r?\n?\Z", b"", piece) if not piece.endswith(b"=\r") else piece
        found += re.sub(rb"=([0-9A-Fa-f]{2})", lambda hit: binascii.a2b_hex(hit[1]), line)
    return found


class TransferTests(SynchronousTestCase):
    """Decoders."""

    samples = {
        b"base64": (
            b"QUJD", b"QU JD\r\nREVG\r\n", b"QUI=", b"QQ==", b"QQ==QUJD", b"QUJDR", b"QUJDRE", b"QUJDREV", b"=QUJD", b"",
            b"Q*U*J*D", b"\0Q\xffUJD", b"QUJD\r\n=",
        ),
        b"quoted-printable": (
            b"abc=20def=3D", b"a  \r\nb \t\nc  ", b"a=\r\nb=  \r\nc=\n d", b"=", b"==41", b"=4", b"=4G=g1=FF=ff", b"a=",
            b"=\rx\ny", b" =  ", b"\r\r\n", b"a \r", b"=3d=0D=0A", b"x" * 80 + b"=", b"=\r", b"", b" ", b"a=\r\n",
        ),
        b"7bit": (b"abc", b"", b"\0\xff="),
    }  # fmt: skip

    def test_known_values(self) -> None:
        """Foreign octets are skipped and pads end base64; what is no escape stands for itself."""
        for encoding, data, octets in (
            (b"base64", b"QU JD\r\nREVG\r\n", b"ABCDEF"),
            (b"base64", b"QQ==QUJD", b"A"),
            (b"base64", b"QUJDR", b"ABC"),
            (b"base64", b"QUJDRE", b"ABCD"),
            (b"quoted-printable", b"a=20=\r\n b =41\t\r\nc", b"a  b A\r\nc"),
            (b"quoted-printable", b"==41=4G=", b"=A=4G"),
            (b"quoted-printable", b"=\rx", b"=\rx"),
            (b"8bit", b"\0=41", b"\0=41"),
        ):
            self.assertEqual(decoded(encoding, data, []), octets, data)

    def test_every_split(self) -> None:
        """The same octets come out wherever the data is cut, and octet by octet."""
        for encoding, samples in self.samples.items():
            for data in samples:
                whole = decoded(encoding, data, [])
                if encoding == b"quoted-printable":
                    self.assertEqual(whole, plain_quoted_printable(data), data)
                for cut in range(len(data) + 1):
                    self.assertEqual(decoded(encoding, data, [cut]), whole, (data, cut))
                self.assertEqual(decoded(encoding, data, list(range(len(data)))), whole, data)

    def test_random_octets(self) -> None:
        """Whatever is written comes back; whatever comes is read like the plain version reads it, at random cuts."""
        random = Random(7)
        for _ in range(300):
            octets = random.randbytes(random.randrange(400))
            self.assertEqual(decoded(b"base64", base64.encodebytes(octets), [random.randrange(3)]), octets)
            quoted = b"".join([random.choice((b"=%02X", b"=%02x=\r\n", b"=%02X= \n")) % octet for octet in octets])
            self.assertEqual(decoded(b"quoted-printable", quoted, []), octets)
            odd = bytes(random.choice(b"=4aG \t\r\n") for _ in range(60))
            cuts = sorted(random.randrange(61) for _ in range(5))
            self.assertEqual(decoded(b"quoted-printable", odd, cuts), plain_quoted_printable(odd), odd)

    def test_long_blanks(self) -> None:
        """Blanks are padding up to a length, and kept beyond, wherever they are cut; only so many are held back."""
        for count in (MAX_BLANKS - 1, MAX_BLANKS, MAX_BLANKS + 1, 3 * MAX_BLANKS):
            for ahead in (b"", b"a", b"="):
                for behind in (b"", b"\r\n", b"x"):
                    data = ahead + b" " * count + behind
                    wanted = plain_quoted_printable(data)
                    for cut in (0, 1, 2, 500, MAX_BLANKS, MAX_BLANKS + 1, MAX_BLANKS + 2, count, count + 1):
                        self.assertEqual(decoded(b"quoted-printable", data, [min(cut, len(data))]), wanted)
        decoding = decoder(b"quoted-printable")
        assert decoding is not None
        self.assertGreater(len(decoding.feed(b" " * 100_000)), 98_000)

    def test_linear(self) -> None:
        """Linear on what is hardest, in one piece and in several."""
        for encoding in (b"base64", b"quoted-printable"):
            for octets in (b"=", b" ", b"=\r", b"= ", b"\r", b" \r", b"A", b"=4"):
                data = many(octets)
                for cuts in ([], list(range(65_536, len(data), 65_536))):
                    with linear((encoding, octets)):
                        decoded(encoding, data, cuts)

    def test_unknown(self) -> None:
        """Nobody undoes what has no rule."""
        self.assertIsNone(decoder(b"x-uuencode"))
        self.assertIsNone(decoder(b""))


def written(message: bytes) -> bytes:
    """A message rid of NULs."""
    return b"".join(recoded(message, plan(message)))


class RecodeTests(SynchronousTestCase):
    """Messages with NULs."""

    def test_part_with_a_nul(self) -> None:
        """It becomes base64, its header says so, everything else stays octet for octet."""
        octets = bytes(range(256)) * 3
        before = b"Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\n\r\nplain\r\n--b\r\n"
        message = (
            before
            + b"content-transfer-encoding:\r\n binary\r\nX: y\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            + octets + b"\r\n--b\r\nContent-Type: text/html\r\n\r\n\0\r\n--b--\r\nend"
        )  # fmt: skip
        found = written(message)
        self.assertTrue(found.startswith(before + b"X: y\r\nContent-Transfer-Encoding: base64\r\n\r\nAAEC"), found)
        self.assertNotIn(b"\0", found)
        self.assertTrue(found.endswith(b"\r\n--b--\r\nend"))
        parts = parse(found).children
        self.assertEqual([part.encoding for part in parts], [b"7bit", b"base64", b"base64"])
        bodies = [base64.b64decode(found[part.body_start : part.body_end]) for part in parts[1:]]
        self.assertEqual(bodies, [octets, b"\0"])
        self.assertLessEqual(max(map(len, found.split(b"\r\n"))), 76)

    def test_whole_message_and_embedded_ones(self) -> None:
        """A message of one part says that it is MIME; one inside another keeps its place."""
        self.assertEqual(
            written(b"Subject: x\r\n\r\na\0"),
            b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nYQA=\r\n",
        )
        self.assertEqual(written(b"\r\n\0"), b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n")
        inside = b"Content-Type: message/rfc822\r\n\r\nSubject: y\n\n\0"
        self.assertEqual(
            written(inside),
            b"Content-Type: message/rfc822\r\n\r\nSubject: y\nContent-Transfer-Encoding: base64\r\n\nAA==\r\n",
        )
        self.assertEqual(written(b"a: b\r\n\r\nc"), b"a: b\r\n\r\nc")

    def test_global_messages_are_encoded_whole(self) -> None:
        """For who takes no 8-bit octets, header and all, which ``message/rfc822`` does not allow.  RFC 6532 section 3.7."""
        inner = b"Subject: \xc3\xbc\r\nContent-Type: text/plain\r\n\r\n\xc3\xbc\r\n"
        message = b"MIME-Version: 1.0\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" + inner
        made = b"".join(recoded(message, plan(message, EIGHT_BIT)))
        head, _, encoded = made.partition(b"\r\n\r\n")
        self.assertEqual(
            head, b"MIME-Version: 1.0\r\nContent-Type: message/global\r\nContent-Transfer-Encoding: base64"
        )
        self.assertEqual(base64.b64decode(encoded), inner)
        self.assertRaises(Unencodable, plan, message.replace(b"message/global", b"message/rfc822"), EIGHT_BIT)

    def test_nuls_that_nothing_helps(self) -> None:
        """In a header, between parts, in what is encoded already."""
        for message in (
            b"Subject: \0\r\n\r\nx",
            b"\0",
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n\0\r\n--b\r\n\r\nx\r\n--b--",
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\0",
            b"Content-Transfer-Encoding: base64\r\n\r\nAA\0AA",
            b"Content-Transfer-Encoding: x-own\r\n\r\n\0",
        ):
            self.assertRaises(Unencodable, plan, message)

    def test_large(self) -> None:
        """Pieces join without a seam."""
        octets = Random(1).randbytes(200_000)
        found = written(b"A: b\r\n\r\n" + octets)
        self.assertEqual(base64.b64decode(found.partition(b"\r\n\r\n")[2]), octets)
