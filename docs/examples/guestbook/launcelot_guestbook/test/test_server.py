"""Dialogues with the server, in memory."""

from __future__ import annotations

import dataclasses
from unittest import mock

from launcelot.core.errors import REFUSALS
from launcelot.testing.link import every_split

from launcelot_guestbook.grammar import MAX_LINE
from launcelot_guestbook.session import COMMANDS, MAX_ERRORS, reply_for
from launcelot_guestbook.test.world import BookCase

VISIT = """
    S: OK here.test guestbook
    C: LOGIN ann pw
    S: OK welcome, ann
    C: WRITE I was here.
    S: OK 1 written
    C: READ
    S: * 1 2023-11-14T22:13:20Z ann I was here.
    S: OK 1 notes
    C: QUIT
    S: OK goodbye
    -- closed
"""


class DialogueTests(BookCase):
    """What is said and answered."""

    def test_visit(self) -> None:
        """Log in, write, read, leave."""
        self.play(VISIT)
        self.assertEqual(1, self.counted("notes.written"))
        self.assertEqual(1, self.counted("notes.read"))

    def test_visit_octet_by_octet(self) -> None:
        """However the network cuts it."""
        self.play(VISIT, chunk=1)

    def test_visit_cut_anywhere(self) -> None:
        """In two pieces, at every place; in one write, as programs in a hurry send it."""
        said = b"LOGIN ann pw\r\nREAD\r\nQUIT\r\n"
        for first, second in every_split(said):
            link = self.world.connect(self.factory)
            link.say(first)
            link.say(second)
            self.assertEqual(b"OK here.test guestbook\r\nOK welcome, ann\r\nOK 0 notes\r\nOK goodbye\r\n", link.take())
            link.close()

    def test_nothing_without_an_account(self) -> None:
        """Neither reading nor writing."""
        self.play("""
            S: OK*
            C: READ
            S: NO log in first
            C: WRITE a
            S: NO log in first
            C: HELP
            S: OK STARTTLS, LOGIN name password, WRITE text, READ [number], HELP, QUIT
        """)

    def test_wrong_password(self) -> None:
        """One answer for wrong names and wrong passwords; after five the connection is closed."""
        turns = "C: LOGIN ann wrong\nS: NO authentication failed\nC: LOGIN eve pw\nS: NO authentication failed\n"
        self.play(f"S: OK*\n{turns}{turns}C: LOGIN ann wrong\nS: NO authentication failed\n-- closed")
        self.assertEqual(5, self.world.site.counters.value("logins.guestbook.failed"))

    def test_lines_that_are_no_requests(self) -> None:
        """Each is told why; the fifth is the last."""
        self.play("""
            S: OK*
            C: NOTE hello
            S: BAD no such verb; see HELP
            C: READ many
            S: BAD READ number, from 1 to 100
            C| READ\\n
            S: BAD lines end with CRLF
            C| READ \\xff\\r\\n
            S: BAD lines are UTF-8
            C:
            S: BAD no such verb; see HELP
            -- closed
        """)
        self.assertEqual(5, MAX_ERRORS)

    def test_line_that_does_not_end(self) -> None:
        """It is not kept."""
        link = self.world.connect(self.factory)
        link.say(b"x" * 10 * MAX_LINE)
        self.assertEqual(b"OK here.test guestbook\r\nBAD line too long\r\n", link.take())
        self.assertTrue(link.closed)

    def test_note_too_long(self) -> None:
        """Octets count, not characters."""
        link = self.play("S: OK*\nC: LOGIN ann pw\nS: OK*")
        self.play(f"C: WRITE {'ü' * 500}\nS: OK 1 written", link)
        self.play(f"C: WRITE {'ü' * 501}\nS: NO a note has at most 1000 octets", link)

    def test_every_refusal_has_words(self) -> None:
        """Whatever a store refuses, the peer is told in a line whether to try again."""
        for kind in REFUSALS:
            self.assertRegex(reply_for(kind()), rb"\A(NO|LATER) [ -~]+\r\n\Z")

    def test_bug(self) -> None:
        """One connection is closed, its peer learns nothing, the log has it once; others go on."""
        other = self.play("S: OK*\nC: LOGIN ann pw\nS: OK*")
        broken = dataclasses.replace(COMMANDS["READ"], run=mock.Mock(side_effect=ZeroDivisionError("secret")))
        with mock.patch.dict(COMMANDS, {"READ": broken}):
            self.play("S: OK*\nC: LOGIN ann pw\nS: OK*\nC: READ\nS: NO internal error\n-- closed")
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual(1, self.counted("errors.internal"))
        self.play("C: READ\nS: OK 0 notes", other)


class LimitTests(BookCase):
    """Peers that are slow, or many."""

    def test_time_to_log_in(self) -> None:
        """Talking does not prolong it."""
        self.play("S: OK*\n++ 50\nC: HELP\nS: OK*\n++ 11\nS: LATER too slow\n-- closed")

    def test_silence(self) -> None:
        """Once logged in, only silence counts."""
        turn = "++ 590\nC: READ\nS: OK*\n"
        self.play(f"S: OK*\nC: LOGIN ann pw\nS: OK*\n{turn}{turn}++ 601\nS: LATER too slow\n-- closed")

    def test_too_many_connections(self) -> None:
        """The fourth from one address is told so; when one has left there is room."""
        links = [self.world.connect(self.factory) for _ in range(3)]
        self.play("S: LATER too many connections\n-- closed")
        links[0].close()
        self.play("S: OK*")
        self.assertEqual(1, self.counted("connections.refused"))

    def test_stopping(self) -> None:
        """A daemon that stops says goodbye and waits for nobody."""
        link = self.play("S: OK*")
        drained = self.factory.drain()
        self.play("S: LATER shutting down\n-- closed", link)
        link.close()
        self.successResultOf(drained)


class TlsTests(BookCase):
    """STARTTLS."""

    tls = True

    def test_password_from_elsewhere_needs_tls(self) -> None:
        """Before it there is none, under it there is."""
        link = self.world.connect(self.factory, "192.0.2.1")
        self.play(
            """
            S: OK*
            C: LOGIN ann pw
            S: NO passwords are taken under TLS only; see STARTTLS
            C: STARTTLS
            S: OK begin TLS
            """,
            link,
        )
        link.start_tls(self.world.client_tls())
        self.play("C: LOGIN ann pw\nS: OK welcome, ann\nC: STARTTLS\nS: NO TLS cannot be started here", link)

    def test_request_behind_starttls(self) -> None:
        """What somebody smuggled in front of the handshake is never obeyed."""
        self.play("S: OK*\nC| STARTTLS\\r\\nLOGIN ann pw\\r\\n\nS: BAD nothing may follow STARTTLS in clear\n-- closed")


class NoTlsTests(BookCase):
    """Without a certificate."""

    def test_not_offered(self) -> None:
        """A refusal."""
        self.play("S: OK*\nC: STARTTLS\nS: NO TLS cannot be started here")
