"""What scripts want done."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from launcelot.sieve.actions import FileInto, Keep, Notify, Vacation
from launcelot.sieve.editing import rendered
from launcelot.sieve.situation import Limits
from tests.sieve.kit import ALL, MESSAGE, run, wants


class ActionTests(SynchronousTestCase):
    """Keep, discard, file, send on, reject."""

    def test_keep_is_implicit(self) -> None:
        """A script that says nothing keeps.  RFC 5228 section 2.10.2."""
        self.assertEqual(wants(""), ["implicit"])
        self.assertEqual(wants("keep;"), ["keep"])
        self.assertEqual(wants("discard;"), [])
        self.assertEqual(wants("discard; keep;"), ["keep"])
        self.assertEqual(wants("stop; discard;"), ["implicit"])
        self.assertEqual(wants("if true { stop; } discard;"), ["implicit"])

    def test_branches(self) -> None:
        """The first branch that holds, and only that."""
        script = 'require "fileinto"; if %s { fileinto "a"; } elsif %s { fileinto "b"; } else { fileinto "c"; } '
        for first, second, wanted in (("true", "true", "a"), ("false", "true", "b"), ("false", "false", "c")):
            self.assertEqual(wants(script % (first, second)), [f"into {wanted}"])
        self.assertEqual(wants(script % ("true", "true") + 'if false {} else { fileinto "d"; }'), ["into a", "into d"])

    def test_file_and_copy(self) -> None:
        """Filing cancels the implicit keep, a copy does not; nothing is filed twice.  RFC 3894."""
        self.assertEqual(wants(ALL + 'fileinto "a"; fileinto "b"; fileinto "a";'), ["into a", "into b"])
        self.assertEqual(wants(ALL + 'fileinto :copy "a";'), ["into a", "implicit"])
        self.assertEqual(wants(ALL + 'fileinto :create :copy "a"; discard;'), ["into a create"])
        self.assertEqual(wants(ALL + 'redirect :copy "a@b.example";'), ["to a@b.example", "implicit"])
        found = run(ALL + 'fileinto :specialuse "\\\\Junk" "Spam";').actions[0]
        self.assertIsInstance(found, FileInto)
        self.assertEqual((found.mailbox, found.special_use), ("Spam", "\\Junk"))  # type: ignore[union-attr]

    def test_redirects_are_few(self) -> None:
        """To the same address once, and to not many at all."""
        self.assertEqual(wants('redirect "a@b.example"; redirect "a@b.example";'), ["to a@b.example"])
        script = "".join(f'redirect "a{number}@b.example";' for number in range(5))
        self.assertEqual(wants(script), ["error line 1: a message is redirected to 4 addresses at most"])
        script = "".join(f'fileinto "{number}";' for number in range(40))
        self.assertEqual(wants(ALL + script), ["error line 2: the script wants too many actions"])

    def test_reject_stands_alone(self) -> None:
        """RFC 5429 section 2.4."""
        self.assertEqual(wants(ALL + 'reject "no";'), ["reject no"])
        self.assertEqual(wants(ALL + 'ereject "no";'), ["ereject no"])
        for other in ("keep;", 'fileinto "x";', 'redirect "a@b.example";', 'reject "again";'):
            self.assertIn("cannot stand beside", wants(ALL + 'reject "no"; ' + other)[0])
            self.assertIn("cannot stand beside", wants(ALL + other + ' reject "no";')[0])

    def test_flags(self) -> None:
        """The internal variable, named ones, and :flags.  RFC 5232."""
        self.assertEqual(wants(ALL + 'addflag ["\\\\seen", "A b"]; addflag "a";'), ["implicit \\Seen A b"])
        self.assertEqual(wants(ALL + 'setflag "a b c"; removeflag "B"; keep;'), ["keep a c"])
        script = 'setflag "a"; fileinto :flags "\\\\Flagged" "x"; fileinto "y";'
        self.assertEqual(wants(ALL + script), ["into x \\Flagged", "into y a"])
        self.assertEqual(wants(ALL + 'setflag "v" "p q"; fileinto :flags "${v}" "x";'), ["into x p q"])
        self.assertEqual(wants(ALL + 'keep :flags "a"; keep :flags "b";'), ["keep b"])
        self.assertEqual(wants(ALL + 'addflag ["\\\\Nonsense", "\\\\Recent", "(", "ok"];'), ["implicit ok"])
        found = wants('require "imap4flags"; addflag "v" "x";')
        self.assertEqual(found, ['error line 1: addflag of a variable needs require "variables"'])
        for test, wanted in (
            ('hasflag "A"', True),
            ('hasflag :contains "v" "un"', True),
            ('hasflag "v" "A"', False),
            ('hasflag :count "ge" :comparator "i;ascii-numeric" "v" "2"', True),
            ('hasflag :is "x b"', True),
        ):
            script = f'{ALL}setflag "a b"; setflag "v" "Junk one Junk"; if {test} {{ discard; }}'
            self.assertEqual(wants(script) == [], wanted, test)

    def test_headers_are_edited(self) -> None:
        """What is added and deleted is seen by tests, and stored; all else keeps its octets.  RFC 5293."""
        script = (
            'deleteheader "x-num"; addheader "X-First" "Für dich"; addheader :last "X-Last" "2"; deleteheader "Received";'
            'if allof (not exists "x-num", header "x-first" "Für dich", exists "received") { keep; }'
        )
        (action,) = run(ALL + script).actions
        self.assertIsInstance(action, Keep)
        data = b"".join(map(bytes, rendered(MESSAGE, action.edits)))  # type: ignore[union-attr]
        head, _, body = MESSAGE.partition(b"\r\n\r\n")
        kept = head.replace(b"X-Num: 1\r\nX-Num:   22  \r\n", b"")
        self.assertEqual(data, b"X-First: =?utf-8?b?RsO8ciBkaWNo?=\r\n" + kept + b"\r\nX-Last: 2\r\n\r\n" + body)

    def test_some_headers_are_deleted(self) -> None:
        """By value and by index."""
        for command, left in (
            ('deleteheader :index 1 "x-num";', [b"22"]),
            ('deleteheader :index 1 :last "x-num";', [b"1"]),
            ('deleteheader :contains "x-num" ["2", "9"];', [b"1"]),
            ('deleteheader :index 1 :is "x-num" "22";', [b"1", b"22"]),
            ('deleteheader :index 9 "x-num";', [b"1", b"22"]),
        ):
            (action,) = run(ALL + command).actions
            data = b"".join(map(bytes, rendered(MESSAGE, action.edits)))  # type: ignore[union-attr]
            found = [line.partition(b":")[2].strip() for line in data.split(b"\r\n") if line.startswith(b"X-Num")]
            self.assertEqual(found, left, command)

    def test_edits_hold_from_then_on(self) -> None:
        """What was filed before keeps the header it had."""
        first, second = run(ALL + 'fileinto "a"; addheader "X-New" "1"; fileinto "b";').actions
        self.assertNotIn(b"X-New", b"".join(map(bytes, rendered(MESSAGE, first.edits))))  # type: ignore[union-attr]
        self.assertIn(b"X-New", b"".join(map(bytes, rendered(MESSAGE, second.edits))))  # type: ignore[union-attr]

    def test_odd_messages_are_rendered(self) -> None:
        """Messages without a body, without a header, with LF only."""
        for message, wanted in (
            (b"", b"X-A: 1\r\n\r\n"),
            (b"A: b", b"X-A: 1\r\nA: b\r\n"),
            (b"A: b\n\nbody\n", b"X-A: 1\r\nA: b\n\nbody\n"),
            (b"\r\nbody", b"X-A: 1\r\n\r\nbody"),
            (b"garbage\r\nA: b\r\n\r\nx", b"X-A: 1\r\ngarbage\r\nA: b\r\n\r\nx"),
        ):
            (action,) = run(ALL + 'addheader "X-A" "1";', message).actions
            data = b"".join(map(bytes, rendered(message, action.edits)))  # type: ignore[union-attr]
            self.assertTrue(data.startswith(wanted), (message, data))

    def test_header_injection_is_impossible(self) -> None:
        """Line breaks become blanks, and names that are none are errors."""
        (action,) = run(ALL + 'addheader "X-A" "1\r\nBcc: x@y.example\r\n\r\nbody";').actions
        data = b"".join(map(bytes, rendered(MESSAGE, action.edits)))  # type: ignore[union-attr]
        self.assertTrue(data.startswith(b"X-A: 1 Bcc: x@y.example body\r\nReceived:"), data[:60])
        self.assertIn("no name of a header field", wants(ALL + 'addheader "X A" "1";')[0])
        self.assertIn("no name of a header field", wants(ALL + 'deleteheader "X:";')[0])
        self.assertIn("cannot be added", wants(ALL + 'addheader "X" "${hex:01}";')[0])

    def test_notify(self) -> None:
        """RFC 5435."""
        found = run(ALL + 'notify :importance "1" :message "hi" :from "a@b.example" "mailto:c@d.example?subject=x";').actions[0]
        self.assertEqual(found, Notify("mailto:c@d.example?subject=x", "a@b.example", 1, (), "hi"))
        self.assertIn("no method", wants(ALL + 'notify "tel:1";')[0])
        self.assertIn(":importance", wants(ALL + 'notify :importance "4" "mailto:c@d.example";')[0])


class VacationTests(SynchronousTestCase):
    """RFC 5230: who is answered."""

    def answered(self, message: bytes = MESSAGE, script: str = 'vacation "away";', **situation: Any) -> bool:
        """Whether an answer is wanted; the message is kept in any case."""
        found = wants(ALL + script, message, **situation)
        self.assertEqual(found[-1], "implicit")
        return len(found) == 2

    def test_answer(self) -> None:
        """To the envelope's sender, with what was asked for."""
        script = 'vacation :days 3 :subject "Gone" :from "r@acme.example.com" :mime "Content-Type: text/plain\r\n\r\nx";'
        answer = run(ALL + script).actions[0]
        self.assertIsInstance(answer, Vacation)
        assert isinstance(answer, Vacation)
        self.assertEqual(
            (answer.to, answer.subject, answer.sender, answer.mime, answer.seconds),
            ("coyote@desert.example.org", "Gone", "r@acme.example.com", True, 3 * 86_400),
        )

    def test_times(self) -> None:
        """Days and seconds within bounds.  RFC 5230 section 4.1, RFC 6131."""
        for option, seconds in (("", 7 * 86_400), (":days 0", 86_400), (":days 999", 365 * 86_400), (":seconds 0", 0)):
            answer = run(f'{ALL}vacation {option} "x";').actions[0]
            self.assertEqual(answer.seconds, seconds)  # type: ignore[union-attr]

    def test_handles(self) -> None:
        """Other words are another answer unless a handle says they are one.  RFC 5230 section 4.2."""

        def handle(options: str) -> str:
            return run(f"{ALL}vacation {options};").actions[0].handle  # type: ignore[union-attr]

        self.assertNotEqual(handle('"a"'), handle('"b"'))
        self.assertNotEqual(handle('"a"'), handle(':subject "s" "a"'))
        self.assertEqual(handle(':handle "h" "a"'), handle(':handle "h" "b"'))

    def test_only_personal_mail_is_answered(self) -> None:
        """One of the recipient's addresses must stand in the header."""
        self.assertTrue(self.answered())
        other = MESSAGE.replace(b"To: roadrunner+news@", b"To: somebody@")
        self.assertFalse(self.answered(other))
        self.assertTrue(self.answered(other, 'vacation :addresses "Juergen@ACME.example.com" "away";'))
        self.assertTrue(self.answered(other, addresses=("juergen@acme.example.com",)))

    def test_machines_are_not_answered(self) -> None:
        """Neither lists nor programs nor the recipient."""
        for sender in ("", "MAILER-DAEMON@x.example", "owner-list@x.example", "list-request@x.example", "noreply@x.example"):
            self.assertFalse(self.answered(sender=sender), sender)
        self.assertFalse(self.answered(sender="roadrunner@acme.example.com"))
        for field in (b"List-Id: <x>", b"Auto-Submitted: auto-replied", b"Precedence: Bulk", b"list-unsubscribe: <mailto:a@b>"):
            self.assertFalse(self.answered(field + b"\r\n" + MESSAGE), field)
        self.assertTrue(self.answered(b"Auto-Submitted: no\r\n" + MESSAGE))

    def test_only_once(self) -> None:
        """Two answers are an error.  RFC 5230 section 4.7."""
        self.assertIn("cannot stand beside", wants(ALL + 'vacation "a"; vacation "b";')[0])


class LimitTests(SynchronousTestCase):
    """No script does too much."""

    def test_work_is_limited(self) -> None:
        """What goes on for too long ends with the message kept."""
        tests = ", ".join(['body :raw :matches "*a?b?c*d*?"'] * 200)
        outcome = run(f"{ALL}if anyof ({tests}) {{ discard; }}", MESSAGE + b"abcabc" * 20_000, limits=Limits(work=50_000))
        self.assertIn("too much work", outcome.error)
        self.assertEqual(len(outcome.actions), 1)
        self.assertIsInstance(outcome.actions[0], Keep)

    def test_an_error_undoes_what_was_wanted(self) -> None:
        """After an error the message is kept as it came, and nothing else happens."""
        outcome = run(ALL + 'addheader "X-A" "1"; redirect "a@b.example"; if duplicate {} addheader " " "";')
        self.assertEqual([type(one) for one in outcome.actions], [Keep])
        self.assertEqual(outcome.seen, ())
        self.assertFalse(outcome.actions[0].edits.changed)  # type: ignore[union-attr]

    def test_growing_variables(self) -> None:
        """Doubling a variable ends at its limit."""
        script = ALL + 'set "a" "xxxxxxxx";' + 'set "a" "${a}${a}";' * 40 + 'if string :value "gt" "${a}" "" {} '
        self.assertEqual(wants(script), ["implicit"])
        many = "".join(f'set "v{number}" "x";' for number in range(200))
        self.assertIn("more than 128 variables", wants(ALL + many)[0])
