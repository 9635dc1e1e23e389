"""The MIME tree by offsets: against hand-made messages, against ``email`` as an oracle, and under attack."""

from __future__ import annotations

import email
import email.message
import email.policy
import mmap
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from launcelot.message import structure
from launcelot.message.structure import MAX_DEPTH, MAX_PARTS, Part, parse
from tests.bounded import linear
from tests.message.messages import RFC3501, crlf, parts_of


def kinds(part: Part) -> object:
    """The tree as nested tuples of subtypes."""
    if part.children:
        return (part.subtype.decode(), *map(kinds, part.children))
    if part.message is not None:
        return ("rfc822", kinds(part.message))
    return part.subtype.decode()


def mapped(data: bytes) -> mmap.mmap:
    """The octets as a memory map."""
    view = mmap.mmap(-1, len(data))
    view[:] = data
    return view


class TreeTests(SynchronousTestCase):
    """Messages whose tree is known."""

    def test_tree_of_the_rfc(self) -> None:
        """The complex message of RFC 3501 section 6.4.5."""
        self.assertEqual(
            kinds(parse(RFC3501)),
            (
                "mixed",
                "plain",
                "octet-stream",
                ("rfc822", ("mixed", "plain", "octet-stream")),
                ("mixed", "gif", ("rfc822", ("mixed", "plain", ("alternative", "plain", "richtext")))),
            ),
        )

    def test_bodies_of_the_rfc(self) -> None:
        """Each leaf's body is what stands between its header and the CRLF before its delimiter."""
        leaves = [part for part in parts_of(parse(RFC3501)) if not part.children and part.message is None]
        self.assertEqual(
            [RFC3501[part.body_start : part.body_end] for part in leaves],
            [b"1 plain", b"Mg==", b"3.1", b"3.2", b"4.1", b"4.2.1", b"4.2.2.1", b"4.2.2.2"],
        )

    def test_line_feeds_alone(self) -> None:
        """The same message with LF alone has the same tree and bodies."""
        data = RFC3501.replace(b"\r\n", b"\n")
        tree = parse(data)
        self.assertEqual(kinds(tree), kinds(parse(RFC3501)))
        self.assertEqual(data[tree.children[0].body_start : tree.children[0].body_end], b"1 plain")

    def test_memory_map(self) -> None:
        """A mapped file gives the same offsets and line counts as octets in memory."""

        def facts(part: Part) -> tuple[int, int, int, int]:
            return part.header_start, part.body_start, part.body_end, part.lines

        with mapped(RFC3501) as view:
            self.assertEqual(list(map(facts, parts_of(parse(view)))), list(map(facts, parts_of(parse(RFC3501)))))

    def test_plain_message(self) -> None:
        """Size in octets and lines of a message that is one text."""
        part = parse(b"Subject: x\r\n\r\none\r\ntwo\r\nthree")
        self.assertEqual((part.header_start, part.body_start, part.body_end, part.lines), (0, 14, 29, 2))
        self.assertEqual((part.media_type, part.subtype, part.encoding), (b"text", b"plain", b"7bit"))

    def test_lines_of_nested_parts(self) -> None:
        """Lines are counted for text and for embedded messages, each over its own body."""
        data = crlf(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\ntwo\n\n--b\n"
            "Content-Type: message/rfc822\n\nSubject: x\n\nin\n\n--b--\n"
        )
        text, embedded = parse(data).children
        inside = embedded.message
        assert inside is not None
        self.assertEqual((text.lines, embedded.lines, inside.lines), (2, 3, 1))

    def test_empty_forms(self) -> None:
        """Nothing, an empty line, a header alone, a body alone."""
        for data, body_start, body_end in [
            (b"", 0, 0),
            (b"\r\n", 2, 2),
            (b"\n", 1, 1),
            (b"\r\n\r\n", 2, 4),
            (b"A: b", 4, 4),
            (b"A: b\r\n", 6, 6),
            (b"A: b\r\n\r\n", 8, 8),
            (b"\r\nbody", 2, 6),
            (b"A: b\n\nbody", 6, 10),
            (b"A: b\n\r\nbody", 7, 11),
            (b"A: b\n\nx\r\n\r\ny", 6, 12),
        ]:
            part = parse(data)
            self.assertEqual((part.header_start, part.body_start, part.body_end), (0, body_start, body_end), data)

    def test_content_fields(self) -> None:
        """All that BODYSTRUCTURE tells of a part."""
        part = parse(
            crlf(
                'Content-Type: Image/PNG; Name="a b.png"; x=y\nContent-ID: <1@x>\nContent-Description: a\n picture\n'
                "Content-Transfer-Encoding: BASE64 (really)\nContent-Disposition: Attachment; filename=f\n"
                "Content-Language: en, de (German)\nContent-Location: http://x/\nContent-MD5: abc==\n\nbody\n"
            )
        )
        self.assertEqual((part.media_type, part.subtype), (b"image", b"png"))
        self.assertEqual(part.parameters, ((b"name", b"a b.png"), (b"x", b"y")))
        self.assertEqual(part.parameter(b"name"), b"a b.png")
        self.assertEqual((part.content_id, part.description, part.encoding), (b"<1@x>", b"a picture", b"base64"))
        self.assertEqual(part.disposition, (b"attachment", ((b"filename", b"f"),)))
        self.assertEqual((part.language, part.location, part.md5), ((b"en", b"de"), b"http://x/", b"abc=="))
        self.assertEqual((part.size, part.lines), (6, 0))

    def test_impossible_type_is_text(self) -> None:
        """RFC 2045 section 5.2."""
        for value in (b"", b"text", b"/", b"text/", b";charset=x", b"\xff/\xff", b"a b/c"):
            part = parse(b"Content-Type: " + value + b"\r\n\r\nx")
            self.assertEqual((part.media_type, part.subtype, part.parameters), (b"text", b"plain", ()), value)

    def test_digest_holds_messages(self) -> None:
        """RFC 2046 section 5.1.5: a part of a digest without type is a message."""
        tree = parse(crlf("Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: in\n\nx\n--b--\n"))
        self.assertEqual(kinds(tree), ("digest", ("rfc822", "plain")))

    def test_multipart_without_delimiter_has_one_part(self) -> None:
        """IMAP has no form for a multipart without parts, so its body is shown as one."""
        for kind in (
            "multipart/mixed",
            "multipart/mixed; boundary=b",
            'multipart/x; boundary=""',
            "multipart/x; boundary=" + "b" * 201,
        ):
            data = crlf(f"Content-Type: {kind}\n\nsome\ntext\n")
            tree = parse(data)
            self.assertEqual(len(tree.children), 1)
            self.assertEqual(tree.children[0].lines, 2)
            self.assertEqual((tree.children[0].header_start, tree.children[0].body_end), (tree.body_start, len(data)))

    def test_missing_end(self) -> None:
        """Without closing delimiter the last part reaches to the end."""
        data = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\n\none\n--b\n\ntwo\n")
        one, two = parse(data).children
        self.assertEqual((data[one.body_start : one.body_end], data[two.body_start :]), (b"one", b"two\r\n"))
        self.assertEqual(two.body_end, len(data))

    def test_outer_delimiter_ends_inner_multipart(self) -> None:
        """An inner multipart whose end is missing ends with its part."""
        data = crlf(
            "Content-Type: multipart/mixed; boundary=outer\n\n--outer\nContent-Type: multipart/mixed; boundary=inner\n\n"
            "--inner\n\none\n--outer\n\ntwo\n--outer--\n"
        )
        self.assertEqual(kinds(parse(data)), ("mixed", ("mixed", "plain"), "plain"))

    def test_delimiter_in_header(self) -> None:
        """A delimiter ends a part whose header has not ended; the header keeps its line end."""
        data = crlf("Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n--b\n--b\n\nx\n--b--\n")
        one, two, three = parse(data).children
        self.assertEqual(data[one.header_start : one.body_start], b"Content-Type: text/html\r\n")
        self.assertEqual((one.size, two.size, two.body_start - two.header_start), (0, 0, 0))
        self.assertEqual(data[three.body_start : three.body_end], b"x")

    def test_delimiter_in_header_of_container(self) -> None:
        """A container whose header is cut off is empty, and the parts behind it are found."""
        for kind in ("message/rfc822", "multipart/mixed; boundary=c"):
            data = crlf(f"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: {kind}\n--b\n\nx\n--b--\n")
            container, text = parse(data).children
            self.assertEqual(container.size, 0)
            self.assertEqual(data[text.body_start : text.body_end], b"x")

    def test_header_cut_off_by_outer_delimiter(self) -> None:
        """What holds a header that was cut off reaches as far as that header (found by damaging messages)."""
        data = crlf(
            "Content-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/mixed; boundary=i\n\n"
            "--i\nX: y\n--o\n\ntwo\n--o--\n"
        )
        check_invariants(self, data)
        inner = parse(data).children[0]
        self.assertEqual(data[inner.children[0].header_start : inner.body_end], b"X: y\r\n")

    def test_longest_boundary_wins(self) -> None:
        """One boundary may begin with another; exact lines and longer boundaries come first (RFC 2046 section 5.1.1)."""
        data = crlf(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=bb\n\n"
            "--bb\n\none\n--bb trailing\n\ntwo\n--bb--\n--b  \n\nthree\n--b--trailing\n--b\nno part\n"
        )
        self.assertEqual(kinds(parse(data)), ("mixed", ("mixed", "plain", "plain"), "plain"))

    def test_same_boundary_nested(self) -> None:
        """The innermost multipart takes a boundary that two use, until it is closed."""
        data = crlf(
            "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: multipart/mixed; boundary=b\n\n"
            "--b\n\none\n--b--\n--b\n\ntwo\n--b--\n"
        )
        self.assertEqual(kinds(parse(data)), ("mixed", ("mixed", "plain"), "plain"))
        leaves = [part for part in parts_of(parse(data)) if not part.children]
        self.assertEqual([data[part.body_start : part.body_end] for part in leaves], [b"one", b"two"])

    def test_boundary_with_charset(self) -> None:
        """RFC 2231 boundaries work, as segments and as extended values."""
        for written in ('boundary*0="a"; boundary*1="b"', "boundary*=us-ascii''%61b"):
            data = crlf(f"Content-Type: multipart/mixed; {written}\n\n--ab\n\none\n--ab--\n")
            self.assertEqual(data[parse(data).children[0].body_start :][:3], b"one")


def trees(depth: int) -> st.SearchStrategy[email.message.EmailMessage]:
    """Messages the standard library composes: leaves of several kinds, multiparts and embedded messages."""
    text = st.builds(_text, st.text(alphabet="ab -\n.", max_size=60), st.sampled_from(["plain", "html"]))
    data = st.builds(_data, st.binary(max_size=200))
    leaf = text | data
    if not depth:
        return leaf
    inner = trees(depth - 1)
    return leaf | st.builds(_multipart, st.lists(inner, min_size=1, max_size=4)) | st.builds(_embedded, inner)


def _text(content: str, subtype: str) -> email.message.EmailMessage:
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message.set_content(content + "\n", subtype=subtype, cte="7bit")
    return message


def _data(content: bytes) -> email.message.EmailMessage:
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message.set_content(content, maintype="application", subtype="x", filename="f.bin")
    return message


def _multipart(parts: list[email.message.EmailMessage]) -> email.message.EmailMessage:
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["Content-Type"] = "multipart/mixed"
    for part in parts:
        message.attach(part)
    return message


def _embedded(inner: email.message.EmailMessage) -> email.message.EmailMessage:
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    inner["Subject"] = "inside"
    message.set_content(inner)
    return message


def oracle(message: email.message.Message) -> Iterator[tuple[str, str | None]]:
    """Type and, for leaves, raw body of each part as ``email`` sees them."""
    payload = message.get_payload()
    if message.get_content_type() == "message/rfc822":
        yield message.get_content_type(), None
        assert isinstance(payload, list)
        assert isinstance(payload[0], email.message.Message)
        yield from oracle(payload[0])
    elif message.is_multipart():
        yield message.get_content_type(), None
        assert isinstance(payload, list)
        for part in payload:
            assert isinstance(part, email.message.Message)
            yield from oracle(part)
    else:
        assert isinstance(payload, str)
        yield message.get_content_type(), payload


class OracleTests(SynchronousTestCase):
    """``email`` and this parser see the same tree and the same octets."""

    @settings(max_examples=60)
    @given(trees(3))
    def test_same_tree_and_bodies(self, message: email.message.EmailMessage) -> None:
        """Types in order, and each leaf's body octet for octet."""
        data = message.as_bytes(policy=email.policy.SMTP)
        seen = [
            (
                f"{part.media_type.decode()}/{part.subtype.decode()}",
                None
                if part.children or part.message is not None
                else data[part.body_start : part.body_end].decode("ascii"),
            )
            for part in parts_of(parse(data))
        ]
        self.assertEqual(seen, list(oracle(email.message_from_bytes(data, policy=email.policy.compat32))))

    @settings(max_examples=60)
    @given(trees(2), st.randoms(use_true_random=False))
    def test_damaged_messages_keep_the_invariants(self, message: email.message.EmailMessage, random: object) -> None:
        """Whatever is cut out or doubled: offsets nest, children follow each other, containers are not empty."""
        data = bytearray(message.as_bytes(policy=email.policy.SMTP))
        for _ in range(5):
            at, length = random.randrange(len(data) + 1), random.randrange(40)  # type: ignore[attr-defined]
            piece = data[at : at + length]
            if random.random() < 0.5:  # type: ignore[attr-defined]
                del data[at : at + length]
            else:
                data[at:at] = piece
        check_invariants(self, bytes(data))

    @given(st.lists(st.sampled_from([
        b"--b", b"--b--", b"--", b"\r\n", b"\n", b"\r", b"x", b"Content-Type: multipart/mixed; boundary=b\r\n",
        b"Content-Type: message/rfc822\r\n", b"Content-Type: multipart/digest; boundary=-\r\n", b" ", b":",
    ]), max_size=40))  # fmt: skip
    def test_any_octets_keep_the_invariants(self, pieces: list[bytes]) -> None:
        """Any sequence of the octets that matter gives a tree."""
        check_invariants(self, b"".join(pieces))


def check_invariants(case: SynchronousTestCase, data: bytes) -> None:
    """Assert what holds for every tree."""
    root = parse(data)
    case.assertEqual((root.header_start, root.body_end), (0, len(data)))
    for part in parts_of(root):
        case.assertLessEqual(part.header_start, part.body_start)
        case.assertLessEqual(part.body_start, part.body_end)
        case.assertEqual(bool(part.children), part.media_type == b"multipart")
        case.assertEqual(part.message is not None, (part.media_type, part.subtype) == (b"message", b"rfc822"))
        position = part.body_start
        for child in [*part.children, *([part.message] if part.message is not None else [])]:
            case.assertGreaterEqual(child.header_start, position)
            position = child.body_end
        case.assertLessEqual(position, part.body_end)
        if part.media_type == b"text" or part.message is not None:
            case.assertEqual(part.lines, data.count(b"\n", part.body_start, part.body_end))


OPEN = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"


def nested(count: int, boundary: str) -> bytes:
    """That many multiparts inside each other; ``boundary`` is formatted with the depth."""
    return b"".join(
        b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n" % (name, name)
        for name in ((boundary % depth if "%" in boundary else boundary).encode() for depth in range(count))
    )


BOMBS = {
    "multipart depth 1000": nested(1000, "x%dx"),
    "multipart depth 20000": nested(20_000, "x%dx"),
    "same boundary nested": nested(20_000, "b"),
    "rfc822 depth 1000": b"Content-Type: message/rfc822\r\n\r\n" * 1000,
    "rfc822 depth 20000": b"Content-Type: message/rfc822\r\n\r\n" * 20_000,
    "100000 parts": OPEN + b"--b\r\n\r\nx\r\n" * 100_000,
    "a million delimiters": OPEN + b"--b\r\n" * 1_000_000,
    "headers that never end": OPEN + b"--b\r\nX: y\r\n" * 500_000,
    "headers that never end, LF": OPEN + b"--b\nX: y\n" * 500_000,
    "multiparts in parts": OPEN + b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n" * 100_000,
    "messages in parts": OPEN + b"--b\r\nContent-Type: message/rfc822\r\n\r\n" * 100_000,
    "lines that are nearly delimiters": nested(99, "%d") + b"--\r\n" * 1_000_000,
    "boundaries of every length": b"".join(nested(1, "x" * length) for length in range(1, 100)) + b"--\r\n" * 1_000_000,
    "a million headers": b"a: b\r\n" * 1_000_000,
    "one folded header of 10 MB": b"Subject: x\r\n" + b" y\r\n" * 2_500_000,
    "lines counted in 99 messages": b"Content-Type: message/rfc822\r\n\r\n" * 99 + b"\n" * 1_000_000,
    "one line of 10 MB": OPEN + b"--" + b"c" * 10_000_000,
    "a million quotes": b'Content-Type: text/plain; a="' + b'"a' * 1_000_000 + b"\r\n\r\n",
    "100000 segments": b"Content-Type: text/plain" + b"".join(b"; a*%d*=x" % n for n in range(100_000)) + b"\r\n\r\n",
}


class BombTests(SynchronousTestCase):
    """Cases S19 and S20 of the security reference: bounded trees in bounded CPU time."""

    def test_bombs(self) -> None:
        """Each bomb takes linear time, and every tree stays within the limits."""
        for name, data in BOMBS.items():
            with linear(name):
                parts = parts_of(parse(data))
            self.assertLessEqual(len(parts), MAX_PARTS + 2 * MAX_DEPTH)
            self.assertEqual(parts[0].body_end, len(data))

    def test_depth_limit(self) -> None:
        """Containers past the limit are opaque leaves; none of the message is lost."""
        for data in (nested(1000, "x%dx"), b"Content-Type: message/rfc822\r\n\r\n" * 1000):
            part, depth = parse(data), 0
            while part.children or part.message is not None:
                part, depth = part.message or part.children[0], depth + 1
            self.assertEqual(depth, MAX_DEPTH)
            self.assertEqual((part.media_type, part.subtype), (b"application", b"octet-stream"))
            self.assertEqual(part.body_end, len(data))

    def test_depth_within_limit(self) -> None:
        """The last lawful depth is still looked into."""
        part = parse(nested(MAX_DEPTH, "x%dx") + b"\r\nx")
        for _ in range(MAX_DEPTH):
            part = part.children[0]
        self.assertEqual(part.media_type, b"text")

    def test_part_limit(self) -> None:
        """The last part within the limit holds all that follows."""
        data = OPEN + b"--b\r\n\r\nx\r\n" * (MAX_PARTS + 5) + b"--b--\r\n"
        children = parse(data).children
        self.assertEqual(len(children), MAX_PARTS - 1)
        self.assertEqual((children[-2].size, children[-1].body_end), (1, len(data)))

    def test_work_limit(self) -> None:
        """Past the limit on comparisons no delimiter is looked for any more."""
        self.patch(structure, "MAX_WORK", 10)
        data = nested(2, "x%dx") + b"\r\n" + b"--x\r\n" * 20 + b"--x0x\r\n\r\nlate\r\n"
        self.assertEqual(kinds(parse(data)), ("mixed", ("mixed", "plain")))
