"""Our signatures: read by our own verifier, by dkimpy and by OpenDKIM; and what is never signed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import dkim
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.checks.dkim import Dkim
from launcelot.checks.interface import Case, Message
from launcelot.checks.keys import BadKey, KeyFolder, SigningKey, make_key, read_key, strings_of
from launcelot.checks.names import ScriptedNames
from launcelot.checks.signing import MOST_NAMES, Signer
from launcelot.message.headers import find_header_end
from launcelot.workers.memory import InlineWorkers
from launcelot.workers.staging import Staging
from tests.clients.peers import program

NOW = 1_795_000_000.0

HEAD = (
    b"Received: from x by y\r\nFrom: Ann <ann@e.example>\r\nTo: b@x.example,\r\n c@x.example\r\n"
    b"Subject: hi  there\r\n  folded \r\nDate: Fri, 11 Jul 2003 21:00:37 -0700\r\nMessage-ID: <a@b>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nList-Id: <l.e.example>\r\n\r\n"
)
BODIES = (
    b"",
    b"\r\n",
    b"hello  world \t\r\n\r\n x\r\n\r\n\r\n",
    b"no end",
    b"8-bit: \xc3\xa4 \xff\r\n",
    b"y z " * 200_000 + b"\r\n" * 9,
)
UTF8 = "From: Änne <änne@e.example>\r\nTo: b@x.example\r\nSubject: Grüße\r\n\r\nä\r\n".encode()


class SigningCase(SynchronousTestCase):
    """Two keys of e.example."""

    keys: Sequence[SigningKey] = (make_key("e.example", "rsa1", "rsa"), make_key("e.example", "ed1", "ed25519"))

    def setUp(self) -> None:
        self.folder = KeyFolder(Path(self.mktemp()))
        for key in self.keys:
            self.folder.add(key)
        self.staging = Staging(None, InlineWorkers())
        self.signer = Signer(self.folder, self.staging, InlineWorkers())

    def signed(self, message: bytes) -> bytes:
        """A message as it leaves."""
        staged = self.staging.begin()
        self.successResultOf(Deferred.fromCoroutine(staged.write(message)))
        found = self.successResultOf(Deferred.fromCoroutine(self.signer.signed(staged, NOW)))
        self.assertEqual(found is staged, found.view() == message)
        return bytes(found.view()[:])

    def zone(self) -> dict[str, str]:
        """What is published."""
        return {key.name: key.record for key in self.keys}

    def results(self, text: bytes, now: float = NOW) -> list[str]:
        """What our own verifier says."""
        case = Case("192.0.2.1", "x", None, "here.test", now)
        message = Message(text, find_header_end(text), text[: find_header_end(text)])
        check = Dkim(ScriptedNames({f"TXT {name}": record for name, record in self.zone().items()}), InlineWorkers())
        self.successResultOf(Deferred.fromCoroutine(check.message(case, message)))
        return [one.value for one in case.results]


class SignatureTests(SigningCase):
    """What is on top of a signed message."""

    def test_both_kinds_at_once(self) -> None:
        """For bodies of every shape, and nothing below the signatures is changed."""
        for body in BODIES:
            text = self.signed(HEAD + body)
            self.assertTrue(text.endswith(HEAD + body))
            self.assertEqual(self.results(text), ["pass", "pass"], body[:20])
            self.assertTrue(all(len(line) <= 78 for line in text[: -len(HEAD + body)].split(b"\r\n")))

    def test_dkimpy_agrees(self) -> None:
        """Of both kinds; also with octets beyond ASCII in body and header."""
        zone = {f"{name}.": record.encode() for name, record in self.zone().items()}
        for text in (*(HEAD + body for body in BODIES if len(body) < 1000), UTF8):
            for number in (0, 1):
                verifier = dkim.DKIM(self.signed(text))
                self.assertTrue(verifier.verify(number, dnsfunc=lambda name, timeout=5: zone.get(name.decode())), text[-30:])

    def test_opendkim_agrees(self) -> None:
        """As a real filter reads it."""
        opendkim = program("opendkim")
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        (folder / "keys").write_text("".join(f"{name} {record}\n" for name, record in self.zone().items()))
        (folder / "conf").write_text(f"Mode v\nTestPublicKeys {folder}/keys\nSyslog no\nSocket local:{folder}/socket\n")
        # Its way to read a file wants lines of a common length, each with its end.
        for number, body in enumerate((BODIES[2], BODIES[4], b"a line  of some text \r\n" * 50_000)):
            letter = folder / f"{number}.eml"
            letter.write_bytes(self.signed(HEAD + body))
            command = [opendkim, "-x", str(folder / "conf"), "-vvv", "-t", str(letter)]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
            said = done.stdout + done.stderr
            self.assertEqual((done.returncode, said.count("dkim=pass")), (0, 2), said[-2000:])

    def test_nothing_can_be_added(self) -> None:
        """A second From, a Subject where there was one, a Reply-To where there was none, another way to read the body."""
        text = self.signed(HEAD + b"x\r\n")
        eve = b": eve@x.example"
        for field in (b"From" + eve, b"Subject: pay", b"Reply-To" + eve, b"Content-Type: text/html", b"Cc" + eve):
            for place in (text.replace(b"Received:", field + b"\r\nReceived:"), field + b"\r\n" + text):
                self.assertEqual(self.results(place), ["fail", "fail"], field)
        self.assertEqual(self.results(b"List-Unsubscribe: <x:y>\r\nX-Spam: no\r\n" + text), ["pass", "pass"])
        self.assertEqual(self.results(text.replace(b"List-Id: <l", b"List-Id: <m")), ["fail", "fail"])

    def test_lifetime(self) -> None:
        """It ends when it says."""
        self.signer = Signer(self.folder, self.staging, InlineWorkers(), 600)
        text = self.signed(HEAD)
        self.assertEqual(self.results(text, NOW + 599), ["pass", "pass"])
        self.assertEqual(self.results(text, NOW + 601), ["fail", "fail"])


class UnsignedTests(SigningCase):
    """What is left as it is."""

    def test_other_domains(self) -> None:
        """No key for it, no domain, two authors of different domains, no From at all."""
        for author in (
            b"From: a@other.example", b"From: a@sub.e.example", b"From: ann", b"From: a@e.example, b@other.example",
            b"From: a@../e.example", b"X: y", b"From: a@e.example\r\nFrom: b@other.example", b"From: a@localhost",
        ):  # fmt: skip
            text = author + b"\r\n\r\nx\r\n"
            self.assertEqual(self.signed(text), text)

    def test_too_many_fields(self) -> None:
        """A signature names so many and no more."""
        few, many = (b"To: x@y.example\r\n" * number + b"From: a@e.example\r\n\r\n" for number in (MOST_NAMES - 15, MOST_NAMES))
        self.assertEqual(self.results(self.signed(few)), ["pass", "pass"])
        self.assertEqual(self.signed(many), many)

    def test_a_body_that_cannot_be_written(self) -> None:
        """The disk is full: nothing stays open, and the refusal is handed on."""

        class Full:
            def begin(self) -> object:
                raise OSError("full")

        staged = self.staging.begin()
        self.successResultOf(Deferred.fromCoroutine(staged.write(HEAD)))
        signer = Signer(self.folder, Full(), InlineWorkers())  # type: ignore[arg-type]
        self.failureResultOf(Deferred.fromCoroutine(signer.signed(staged, NOW)), OSError)


class KeyFolderTests(SigningCase):
    """Files of keys."""

    def test_modes(self) -> None:
        """Nobody else reads them."""
        path = self.folder.folder / "e.example" / "ed1.pem"
        modes = [one.stat().st_mode & 0o777 for one in (path, path.parent, path.parent.parent)]
        self.assertEqual(modes, [0o600, 0o700, 0o700])

    def test_changes_count_at_once(self) -> None:
        """A key that is added, one that is removed, and the last one."""
        self.assertEqual([one.selector for one in self.folder.keys("e.example")], ["ed1", "rsa1"])
        self.folder.remove("e.example", "ed1")
        self.assertEqual([one.selector for one in self.folder.keys("e.example")], ["rsa1"])
        self.folder.add(make_key("e.example", "ed2", "ed25519"))
        self.assertEqual([one.selector for one in self.folder.keys("e.example")], ["ed2", "rsa1"])
        for selector in ("rsa1", "ed2"):
            self.folder.remove("e.example", selector)
        self.assertEqual((self.folder.keys("e.example"), self.folder.domains()), ((), []))

    def test_what_is_refused(self) -> None:
        """A selector that is none or there already, and the removal of what is not there."""
        for selector in ("", "a b", "../x", "A", "x" * 64, "-x", "x."):
            with self.assertRaises(BadKey):
                make_key("e.example", selector, "ed25519")
        with self.assertRaises(BadKey):
            self.folder.add(make_key("e.example", "ed1", "ed25519"))
        for selector in ("ed9", "../e.example/ed1"):
            with self.assertRaises(BadKey):
                self.folder.remove("e.example", selector)

    def test_keys_that_cannot_be_used(self) -> None:
        """Each with its remedy; the others sign."""
        place = self.folder.folder / "e.example"
        (place / "none.pem").write_text("no key")
        os.utime(place, ns=(1, 1))
        self.assertEqual([one.selector for one in self.folder.keys("e.example")], ["ed1", "rsa1"])
        with self.assertRaisesRegex(BadKey, "launcelot dkim new"):
            read_key(place / "none.pem", "e.example")
        with self.assertRaisesRegex(BadKey, "0600"):
            read_key(place / "gone.pem", "e.example")

    def test_strings_of_a_record(self) -> None:
        """No longer than 255 octets, and together what they were."""
        record = self.keys[0].record
        self.assertEqual("".join(strings_of(record)), record)
        self.assertEqual(max(map(len, strings_of(record))), 255)
        self.assertEqual(strings_of(""), [""])
