"""What the tables claim: refusals, capabilities, commands, states, settings."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from launcelot.core import limits
from launcelot.core.errors import REFUSALS, NotFound, Refusal
from launcelot.core.settings import declared, load
from launcelot.protocols.imap4 import capabilities, server
from launcelot.protocols.imap4.commands.table import COMMANDS
from launcelot.protocols.imap4.service import Settings, build
from launcelot.protocols.imap4.session import LAWFUL, State, Unlawful, reply_for
from launcelot.testing.certificates import Certificates
from launcelot.testing.site import memory_site
from tests.protocols.imap4.world import ImapCase

README = Path(server.__file__).with_name("README.rst").read_text("utf-8")
HERE = Path(__file__).parent
TESTS = "".join(path.read_text("utf-8") for path in sorted([*HERE.glob("test_*.py"), HERE.parent / "test_tokens.py"]))

SHOWN_BY = {
    b"IMAP4rev1": "test_a_whole_session",
    b"IMAP4rev2": "test_sample_connection",
    b"LITERAL+": "test_message_comes_out_as_it_went_in",
    b"SASL-IR": "test_plain_with_and_without_initial_response",
    b"ID": "test_id_tells_our_name",
    b"STARTTLS": "test_commands_inside_tls",
    b"LOGINDISABLED": "test_passwords_that_need_tls",
    b"AUTH=SCRAM-SHA-256-PLUS": "test_capabilities_tell",
    b"AUTH=SCRAM-SHA-256": "test_capabilities_tell",
    b"AUTH=OAUTHBEARER": "test_only_under_tls_and_where_it_is_set",
    b"AUTH=PLAIN": "test_plain_with_and_without_initial_response",
    b"AUTH=LOGIN": "test_login_mechanism",
    b"COMPRESS=DEFLATE": "test_compress",
    b"UNAUTHENTICATE": "test_unauthenticate",
    b"IDLE": "test_idle_pushes",
    b"NAMESPACE": "test_namespace",
    b"CHILDREN": "test_create_list_delete",
    b"SPECIAL-USE": "test_special_use",
    b"STATUS=SIZE": "test_status",
    b"UNSELECT": "test_close_and_unselect",
    b"UIDPLUS": "test_uid_expunge",
    b"MOVE": "test_move",
    b"ESEARCH": "test_esearch",
    b"SEARCHRES": "test_saved_result",
    b"WITHIN": "test_younger_and_older",
    b"ENABLE": "test_enable",
    b"APPENDLIMIT": "test_append_limit",
    b"MESSAGELIMIT": "test_fetch_is_resumed_below_the_lowest_uid",
    b"SAVELIMIT": "test_only_saving",
    b"MULTIAPPEND": "test_several_messages",
    b"SAVEDATE": "test_save_dates",
    b"OBJECTID": "test_object_ids",
    b"CREATE-SPECIAL-USE": "test_create_with_a_use",
    b"LIST-EXTENDED": "test_recursive_match",
    b"LIST-STATUS": "test_status",
    b"CONDSTORE": "test_unchanged_since",
    b"QRESYNC": "test_coming_back",
    b"BINARY": "test_decoded_octets",
    b"CATENATE": "test_examples_of_the_standard",
    b"PREVIEW": "test_what_would_take_long",
    b"UTF8=ACCEPT": "test_names_both_ways",
    b"MULTISEARCH": "test_example_of_the_standard",
    b"UIDONLY": "test_no_numbers_in_responses",
    b"INPROGRESS": "test_search_that_takes_long",
    b"NOTIFY": "test_example_of_notify",
    b"I18NLEVEL=1": "test_cases_and_compositions",
    b"PARTIAL": "test_partial_results",
    b"REPLACE": "test_replace",
    b"SORT": "test_sort",
    b"SORT=DISPLAY": "test_sort_display",
    b"ESORT": "test_esort",
    b"THREAD=ORDEREDSUBJECT": "test_thread_by_subject",
    b"THREAD=REFERENCES": "test_thread_by_references",
    b"METADATA": "test_set_and_get",
    b"ACL": "test_set_and_get",
    b"RIGHTS": "test_letters_of_the_old_kind",
    b"LIST-MYRIGHTS": "test_rights_beside_names",
    b"QUOTA": "test_what_is_used",
    b"QUOTASET": "test_administrators_set_quotas",
    b"QUOTA=RES-STORAGE": "test_full_of_octets",
    b"QUOTA=RES-MESSAGE": "test_full_of_messages",
    b"LIST-METADATA": "test_listed_with_their_annotations",
}


class RefusalTests(SynchronousTestCase):
    """Refusals in IMAP's words."""

    def test_every_refusal_has_words(self) -> None:
        """Each kind becomes NO with a response code, in one line."""
        for kind in REFUSALS:
            reply = reply_for(kind())
            self.assertEqual(reply.condition, b"NO")
            self.assertRegex(reply.code, rb"\A[A-Z]+\Z")
            self.assertTrue(reply.text)

    def test_a_refusal_nobody_listed(self) -> None:
        """A new kind takes its parent's code, or the general one."""

        class Farther(NotFound):
            pass

        class Strange(Refusal):
            pass

        self.assertEqual(reply_for(Farther()).code, b"NONEXISTENT")
        self.assertEqual(reply_for(Farther(), creatable=True).code, b"TRYCREATE")
        self.assertEqual(reply_for(Strange()).code, b"CANNOT")


class TableTests(SynchronousTestCase):
    """The tables of commands, capabilities and states."""

    def test_every_capability_is_shown_by_a_test(self) -> None:
        """Nothing is advertised that no dialogue shows."""
        self.assertEqual({one.name for one in capabilities.CAPABILITIES}, set(SHOWN_BY))
        for name in SHOWN_BY.values():
            self.assertIn(f"def {name}(", TESTS)

    def test_every_command_and_capability_is_documented(self) -> None:
        """The README names each, with its standard."""
        for command in COMMANDS.values():
            self.assertIn(f"``{command.name.decode()}``", README)
            self.assertRegex(command.standard, r"\ARFC \d+ section [\d.]+\Z")
        for capability in capabilities.CAPABILITIES:
            self.assertIn(f"``{capability.name.decode()}``", README)
            self.assertIn(re.match(r"RFC \d+", capability.standard)[0], README)  # type: ignore[index]

    def test_every_setting_is_documented(self) -> None:
        """The README names each with its default."""
        for name in Settings.__dataclass_fields__:
            self.assertIn(f"``{name}``", README)

    def test_states(self) -> None:
        """Only lawful transitions are made; logout is the end."""
        self.assertEqual(set(LAWFUL), set(State))
        self.assertEqual(LAWFUL[State.LOGOUT], frozenset())


class StateTests(ImapCase):
    """The session's state machine."""

    def test_unlawful_transitions(self) -> None:
        """A session refuses what the table does not have."""
        from launcelot.protocols.imap4.session import Session

        for state in State:
            for to in State:
                session = Session(self.connect().server, self.world.site, Settings(), True)
                session.state = state
                if to in LAWFUL[state]:
                    session.move_to(to)
                    self.assertIs(session.state, to)
                else:
                    self.assertRaises(Unlawful, session.move_to, to)

    def test_every_command_is_kept_to_its_states(self) -> None:
        """Before login only what may be; without a mailbox nothing that needs one."""
        for command in COMMANDS.values():
            if State.NOT_AUTHENTICATED not in command.states:
                self.ask(self.connect(), command.name, b"BAD [CLIENTBUG] command is not valid in this state")
            if State.AUTHENTICATED not in command.states:
                self.ask(self.log_in(), command.name, b"BAD [CLIENTBUG] command is not valid in this state")

    def test_every_command_with_too_much(self) -> None:
        """A command with garbage behind its arguments, or without them, is BAD or harmless; never an error of ours."""
        for name in COMMANDS:
            for garbage in (b"", b" ", b" (", b' "', b" \x01", b" {0+}\r\n", b" x x x x x x x", b" 1 1 1", b" \xff"):
                link = self.log_in("INBOX") if State.SELECTED in COMMANDS[name].states else self.connect()
                link.say(b"t " + name + garbage + b"\r\n")
                heard = link.take()
                self.assertRegex(heard, rb"(?m)^(t (OK|NO|BAD)|\+ )")
                self.assertNotIn(b"SERVERBUG", heard)
        self.assertEqual(self.flushLoggedErrors(), [])


class ServiceTests(SynchronousTestCase):
    """Settings and listeners."""

    def test_defaults(self) -> None:
        """They are those of the brief, declared with text, and load from nothing."""
        settings, problems = load(Settings, {})
        self.assertEqual(problems, [])
        self.assertEqual(settings, Settings())
        self.assertEqual((settings.login_timeout, settings.idle_timeout, settings.max_command_size), (60, 1800, 65536))
        for field in Settings.__dataclass_fields__.values():
            self.assertTrue(declared(field).text)

    def test_listeners(self) -> None:
        """Both with a certificate, one without."""
        with_tls = build(memory_site(tls=Certificates("here.test")).site, Settings())
        self.assertEqual([one.name for one in with_tls.listeners], ["imap", "imaps"])
        self.assertEqual([one.factory.implicit_tls for one in with_tls.listeners], [False, True])
        self.assertEqual([one.name for one in build(memory_site().site, Settings()).listeners], ["imap"])

    def test_too_many_connections(self) -> None:
        """One more than allowed is told BYE and the others go on; the listeners share the count."""
        world = memory_site()
        service = build(world.site, Settings(max_connections_per_source=1))
        factory = service.listeners[0].factory
        first = world.connect(factory)
        first.take()
        self.assertEqual(world.connect(factory).take(), server.ImapFactory.refusal)
        first.say(b"a NOOP\r\n")
        self.assertEqual(first.take(), b"a OK NOOP completed\r\n")

    def test_who_is_on_this_machine(self) -> None:
        """Loopback addresses of both families and Unix sockets; nothing else."""
        for host in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "unix"):
            self.assertTrue(limits.is_loopback(host), host)
        for host in ("192.0.2.1", "::2", "fe80::1%lo", "localhost", "", "::ffff:192.0.2.1"):
            self.assertFalse(limits.is_loopback(host), host)
