"""The account base as a Portal, and Twisted's checkers as ours."""

from __future__ import annotations

from typing import Any, cast

from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IUsernamePassword, UsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.cred.portal import IRealm
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from launcelot.accounts.memory import MemoryDirectory
from launcelot.accounts.passwords import CHEAPEST, Hasher
from launcelot.core.counters import Counters
from launcelot.hosting.cred import (
    AccountAvatar,
    AccountChecker,
    AccountRealm,
    IAccountAvatar,
    ask,
    check_checkers,
    portal,
)
from launcelot.hosting.login import FAILURES, Logins
from launcelot.message.address import parse_mailbox
from launcelot.workers.memory import InlineWorkers

PASSWORD = "s\u00e9same"


class PortalTests(SynchronousTestCase):
    """Twisted's protocols log in to our accounts."""

    def setUp(self) -> None:
        """One account and a Portal to it."""
        self.directory = MemoryDirectory(["example.org"], Hasher(InlineWorkers(), CHEAPEST))
        self.ann = self.successResultOf(
            Deferred.fromCoroutine(self.directory.add("ann", parse_mailbox("ann.smith@example.org"), PASSWORD))
        )
        self.clock = Clock()
        self.counters = Counters()
        self.logins = Logins(self.directory, self.counters, self.clock.seconds)
        self.portal = portal(self.directory, self.logins, "192.0.2.1", "shell")

    def login(self, name: object, password: object) -> Deferred[Any]:
        """Log in with whatever a protocol hands over."""
        credentials = UsernamePassword(cast(bytes, name), cast(bytes, password))
        return self.portal.login(credentials, None, IAccountAvatar)

    def test_realm_and_checker_are_what_twisted_expects(self) -> None:
        """They provide the interfaces they claim."""
        verifyObject(IRealm, AccountRealm(self.directory))
        verifyObject(ICredentialsChecker, AccountChecker(self.logins, "x", "y"))
        verifyObject(IAccountAvatar, AccountAvatar(self.ann))

    def test_bytes_and_text_are_one(self) -> None:
        """Whichever a protocol hands over, in any spelling (audit T4)."""
        for name in ("ann", b"ann", "ANN", b"Ann.Smith@example.org"):
            for password in (PASSWORD, PASSWORD.encode(), "se\u0301same"):
                interface, avatar, logout = self.successResultOf(self.login(name, password))
                self.assertIs(interface, IAccountAvatar)
                self.assertEqual(avatar.account, self.ann)
                self.assertIsNone(logout())
        self.assertEqual(self.counters.snapshot(), {"logins.shell.succeeded": 12})

    def test_what_does_not_fit_is_unauthorized(self) -> None:
        """Wrong, unknown, empty, not UTF-8, or with a NUL."""
        for name, password in (
            (b"ann", b"wrong"),
            (b"eve", b"wrong"),
            (b"", b""),
            (b"\xff", b"x"),
            (b"ann", b"\xff"),
            (b"ann\0", b"x"),
        ):
            self.failureResultOf(self.login(name, password), UnauthorizedLogin)

    def test_wrong_passwords_count_with_all_others(self) -> None:
        """Past the limit the log-in fails without being wrong (case A01)."""
        for _ in range(FAILURES):
            self.failureResultOf(self.login(b"ann", b"wrong"), UnauthorizedLogin)
        failure = self.failureResultOf(self.login(b"ann", PASSWORD.encode()), LoginFailed)
        self.assertIs(failure.type, LoginFailed)
        imap = self.logins.by_password("ann", PASSWORD, "192.0.2.1", "imap4")
        self.failureResultOf(Deferred.fromCoroutine(imap))

    def test_directory_out_of_reach_is_not_unauthorized(self) -> None:
        """The peer may try again."""
        self.successResultOf(Deferred.fromCoroutine(self.directory.close()))
        self.assertIs(self.failureResultOf(self.login(b"ann", b"x")).type, LoginFailed)

    def test_realm_knows_enabled_accounts_only(self) -> None:
        """Neither nobody, nor the anonymous, nor the disabled have an avatar."""
        realm = AccountRealm(self.directory)
        asked = realm.requestAvatar(b"ann", None, IAccountAvatar)
        self.assertEqual(self.successResultOf(asked)[1], AccountAvatar(self.ann))
        self.successResultOf(Deferred.fromCoroutine(self.directory.change("ann", enabled=False)))
        for avatar_id in (b"ann", b"eve", b"\xff", ANONYMOUS):
            self.failureResultOf(realm.requestAvatar(avatar_id, None, IAccountAvatar), UnauthorizedLogin)

    def test_realm_knows_no_other_avatars(self) -> None:
        """As Portals expect."""
        with self.assertRaises(NotImplementedError):
            AccountRealm(self.directory).requestAvatar(b"ann", None, IUsernamePassword)


@implementer(ICredentialsChecker)
class Answer:
    """A checker that always answers the same, not always by a Deferred."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def requestAvatarId(self, credentials: object) -> Any:
        """The answer."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class AskTests(SynchronousTestCase):
    """Twisted's checkers are asked about passwords."""

    def ask(self, *checkers: object) -> object:
        """What comes of asking about ann."""
        return self.successResultOf(Deferred.fromCoroutine(ask(check_checkers(checkers), b"ann", b"pw")))

    def test_first_that_accepts_decides(self) -> None:
        """In the order they were named, with or without a Deferred."""
        memory = InMemoryUsernamePasswordDatabaseDontUse(ann=b"pw")
        self.assertEqual(self.ask(InMemoryUsernamePasswordDatabaseDontUse(), memory), b"ann")
        self.assertEqual(self.ask(Answer(b"other"), memory), b"other")
        self.assertEqual(self.ask(Answer(succeed("text")), memory), "text")
        self.assertEqual(self.ask(Answer(LoginFailed()), memory), b"ann")

    def test_none_that_accepts_is_none(self) -> None:
        """Also when one only knows the anonymous, which is nobody's account."""
        self.assertIsNone(self.ask())
        self.assertIsNone(self.ask(InMemoryUsernamePasswordDatabaseDontUse(ann=b"other")))
        self.assertIsNone(self.ask(Answer(ANONYMOUS), Answer(None)))

    def test_bug_in_a_checker_is_not_a_wrong_password(self) -> None:
        """It comes out and is treated as any bug."""
        asked = Deferred.fromCoroutine(ask([Answer(ZeroDivisionError())], b"ann", b"pw"))
        self.failureResultOf(asked, ZeroDivisionError)
