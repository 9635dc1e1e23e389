"""
A Site in memory, served on real sockets of this machine by a reactor in a thread of its own: ``lc`` in a pytest test.

Everything is the daemon's own code but the places: stores are in memory, hashing is cheap, ports are chosen by the system and
bound to 127.0.0.1.  A Site listens when :func:`serve` returns and leaves nothing behind when :meth:`Served.stop` has returned;
what should not have been left is what that returns.  All methods may be called from any thread.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from twisted.internet.task import deferLater

from launcelot.accounts.interface import Account
from launcelot.hosting.site import Site
from launcelot.message.address import Address
from launcelot.testing.certificates import Certificates
from launcelot.testing.complaints import Complaints
from launcelot.testing.cuts import Kind, Table, Way
from launcelot.testing.faulting import Armed, FaultyTaps
from launcelot.testing.faults import Fault
from launcelot.testing.golden import Golden, NotGolden
from launcelot.testing.keeping import Kept
from launcelot.testing.machine import Machine, Running
from launcelot.testing.mail import LOOK_AGAIN, PATIENCE, Mail
from launcelot.testing.messages import Message
from launcelot.testing.nameserver import NameServer
from launcelot.testing.ports import QuietReactor
from launcelot.testing.post import Post
from launcelot.testing.reactorthread import Loan
from launcelot.testing.servedcuts import EveryCut
from launcelot.testing.services import DNS, HOST, entries, wants_tls
from launcelot.testing.site import furnish
from launcelot.testing.storing import guard
from launcelot.testing.transcript import Transcript
from launcelot.testing.trees import all_files, make_team, put_files
from launcelot.testing.ways import Caught
from launcelot.testing.zone import Zone

__tracebackhide__ = True
"""pytest shows the test's line, not ours."""


@dataclass(frozen=True)
class Place:
    """
    Where one service listens.

    :ivar name: such as ``"smtp"`` or ``"imaps"``.
    """

    name: str
    host: str
    port: int
    served: Served

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as ``socket.create_connection`` takes them."""
        return self.host, self.port

    @property
    def transcripts(self) -> Sequence[Transcript]:
        """Its connections, oldest first."""
        return [one for one in self.served.transcripts if one.service == self.name]

    def matches(self, name: str, connection: int = -1) -> None:
        """
        Claim that a connection went as a golden file has it, once it is over; see :mod:`launcelot.testing.golden`.

        :param name: of the file, below the folder of the test.
        :param connection: the last one, unless another is named, counted from 0.
        :raises launcelot.testing.golden.NotGolden: it did not, or is not over.
        """
        there = self.transcripts
        if not there:
            raise NotGolden(f"nobody has connected to {self.name}")
        transcript = there[connection]
        if not self.served.is_over(transcript):
            raise NotGolden(f"{transcript.service} #{transcript.number} is still open; close it first")
        self.served.golden.compare(name, list(transcript.lines()))


class Served:
    """
    One Site; see :func:`serve`.

    :ivar mail: what has arrived.
    :ivar golden: where golden files are, and what is done with them.
    :ivar zone: what the name server answers, where ``dns`` was started: ``lc.zone.add("MX", "news.example", "10 mx.example")``.
    """

    mail: Mail

    def __init__(self, tls: bool, domain: str, hostname: str, kept: Kept) -> None:
        self.domain = domain
        self.hostname = hostname
        self.certificates = Certificates(hostname, "localhost", HOST) if tls else None
        self._kept = kept
        self._complaints = Complaints()
        self.zone = Zone()
        self.golden = Golden(Path(), mode="")
        self._arrived = 0
        self._name_server: NameServer | None = None
        self._places: dict[str, Place] = {}
        self._running = False
        self._thread: Loan
        self._site: Site
        self._post: Post
        self._taps: FaultyTaps
        self._machine: Machine

    # -- starting and stopping -----------------------------------------------------------------------------------

    def start(self, names: Sequence[str], settings: Mapping[str, Mapping[str, Any]], faults: Sequence[Fault]) -> None:
        """Listen; called once, by :func:`serve`."""
        wanted = entries([name for name in names if name != DNS])
        self._complaints.begin()
        self._thread = self._kept.threads.lend()
        self._running = True
        try:
            self._thread.run(self._begin(wanted, settings, faults, DNS in names))
        except BaseException:
            self.stop()
            raise

    async def _begin(
        self,
        wanted: Mapping[str, Sequence[str]],
        settings: Mapping[str, Mapping[str, Any]],
        faults: Sequence[Fault],
        names: bool,
    ) -> None:
        self._furnish()
        for fault in faults:
            self._taps.arm(fault)
        await self._listen(wanted, settings)
        if names:
            self._serve_names()

    def _furnish(self) -> None:
        reactor = self._thread.reactor
        tapping = QuietReactor(reactor)
        self._site, self._post = furnish(
            tapping,
            reactor,
            time.time,
            lambda call: reactor.callLater(0, call),
            self.certificates,
            self.domain,
            self.hostname,
            known=self._kept.known,
            ways=Caught(),
        )
        self._taps = tapping.taps = FaultyTaps(reactor.seconds, self._post, reactor.callLater)
        guard(self._site, self._taps)
        self._machine = Machine(self._taps, reactor.callLater, holds_ports=True)
        self._taps.restart = self._machine.restart
        if self.certificates is not None:
            self._taps.certificate = self.certificates.faulty
        self.mail = Mail(self._thread, self._post, self._taps, self._site.spool)

    async def _listen(self, wanted: Mapping[str, Sequence[str]], settings: Mapping[str, Mapping[str, Any]]) -> None:
        for service, names in wanted.items():
            running = Running(self._site, service, names, settings.get(service, {}))
            self._machine.running.append(running)
            await running.listen()
            for listening in running.listening:
                self._places[listening.name] = Place(listening.name, listening.host, listening.port, self)

    def _serve_names(self) -> None:
        self._name_server = NameServer(self._thread.reactor, self.zone, self._taps)
        self._places[DNS] = Place(DNS, HOST, self._name_server.listen(HOST), self)

    def stop(self) -> Sequence[str]:
        """
        Close everything; what was left that should not be left, one line each.

        Connections that clients have not closed are cut and are nobody's fault: clients are often collected later than their test
        ends.
        """
        if not self._running:
            return ()
        self._running = False
        left = self._thread.end(self._close())
        return [*left, *self._complaints.end()]

    async def _close(self) -> None:
        # Most clients have gone, and their sessions have just not heard of it.
        self._thread.reactor.look()
        await self._machine.close()
        if self._name_server is not None:
            await self._name_server.close()
        await self._site.spool.close()
        await self._site.mail.close()
        await self._site.files.close()

    # -- places --------------------------------------------------------------------------------------------------

    def place(self, name: str) -> Place:
        """
        Where a service listens.

        :raises LookupError: it was not started.
        """
        found = self._places.get(name)
        if found is None:
            raise LookupError(f"{name!r} was not started; {', '.join(self._places) or 'nothing'} was")
        return found

    def __getattr__(self, name: str) -> Place:
        # lc.smtp, lc.questions_udp ...
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self.place(name.replace("_", "-"))
        except LookupError as error:
            raise AttributeError(str(error)) from None

    @property
    def places(self) -> Sequence[Place]:
        """Everything that listens."""
        return tuple(self._places.values())

    def ssl_context(self) -> ssl.SSLContext:
        """
        For clients: it trusts this Site's certificate, which is for ``localhost``, 127.0.0.1 and the host's name.

        :raises LookupError: there is none; start with ``tls=True``.
        """
        if self.certificates is None:
            raise LookupError("this Site has no certificate; start it with tls=True")
        return ssl.create_default_context(cadata=self.certificates.certificate.decode())

    @property
    def transcripts(self) -> Sequence[Transcript]:
        """Everything that was said, by connection, oldest first."""
        return self._thread.call(lambda: tuple(self._taps.transcripts))

    def is_over(self, transcript: Transcript, timeout: float = PATIENCE) -> bool:
        """
        Whether a connection has ended; one that the client has closed ends at once.

        :param timeout: seconds that it may take.
        """
        return self._thread.run(self._over(transcript, timeout))

    async def _over(self, transcript: Transcript, timeout: float) -> bool:
        reactor = self._thread.reactor
        until = reactor.seconds() + timeout
        while not transcript.closed and reactor.seconds() < until:
            await deferLater(reactor, LOOK_AGAIN)
        return transcript.closed

    def fault(self, fault: Fault) -> Armed:
        """
        Have something go wrong on connections that are made from now on.

        :returns: ``struck`` of it says how often it has happened.
        """
        return self._thread.call(self._taps.arm, fault)

    def restart(self, down: float = 0.0) -> None:
        """
        Have the server die and come back at the same ports: connections are lost, what has been stored is there again.

        :param down: seconds in which nobody listens; this does not wait for them.
        """
        self._thread.run(self._restart(down))

    async def _restart(self, down: float) -> None:
        await self._machine.restart(down)

    def disarm(self, armed: Armed) -> None:
        """Have it go well again, on connections that are made from now on; it is not missed if it never happened."""
        self._thread.call(self._taps.armed.remove, armed)

    def every_cut(
        self,
        name: str,
        run: Callable[[], object],
        kinds: Collection[str] = ("fin", "rst"),
        ways: Collection[Way] = tuple(Way),
        step: int = 1,
    ) -> Table:
        """
        Have a client's work played whole, and then once for each octet at which its connections to a listener may be lost.

        :param name: of the listener, such as ``"smtp"``.
        :param run: does the work.  What it raises says that the client knows that it failed; what it returns is the outcome in
            words, and if it returns nothing the outcome is what the client believes against what has arrived
            (:mod:`launcelot.testing.verdicts`).
        :param kinds: ``"fin"``, ``"rst"`` or ``"stall"``, which ends when the client gives up.
        :param step: 1 for each octet, more for one in so many.
        :raises LookupError: nobody has connected there.
        """
        return EveryCut(self, name, run).play([Kind(kind) for kind in kinds], list(ways), step)

    def arrived(self) -> int:
        """How much mail has arrived since this was asked last."""
        self.mail.settle()
        before, self._arrived = self._arrived, len(self.mail.all())
        return self._arrived - before

    def connections(self, family: str) -> int:
        """How many connections there have been to all listeners of a service."""
        return self._thread.call(self._taps.count, family)

    @property
    def unstruck(self) -> Sequence[Fault]:
        """Faults that have not happened: a test that meant to meet them has not."""
        return [one.fault for one in self._taps.armed if not one.struck]

    # -- people --------------------------------------------------------------------------------------------------

    def address(self, name: str) -> str:
        """The address of an account."""
        return f"{name}@{self.domain}"

    def user(
        self,
        name: str,
        password: str = "pw",
        quota: int = 0,
        mail: Sequence[bytes | str | Path | EmailMessage] = (),
        files: Mapping[str, bytes] | None = None,
    ) -> str:
        """
        Make an account.

        :param quota: octets of mail and files together; 0 for no limit.
        :param mail: what lies in its inbox: messages as octets or objects, or paths of files; it does not count as arrived.
        :param files: by path below its folder, such as ``"in/a.csv"``.
        :returns: its address.
        :raises launcelot.core.errors.Exists: there is one of that name.
        """
        messages = [octets_of(one) for one in mail]
        return self._thread.run(self._add(name, password, quota, messages, files or {}))

    async def _add(
        self, name: str, password: str, quota: int, messages: Sequence[bytes], files: Mapping[str, bytes]
    ) -> str:
        account = await self._site.accounts.add(name, Address(name, self.domain), password, quota)
        if messages:
            await self._fill(account, messages)
        if files:
            await put_files(await self._site.files.tree(account.id, account.quota), files)
        return str(account.address)

    async def _fill(self, account: Account, messages: Sequence[bytes]) -> None:
        inbox = await (await self._site.mail.mail(account.id, account.quota)).mailbox("INBOX")
        for octets in messages:
            await inbox.append(octets, ())

    def mailbox(self, name: str, mailbox: str = "INBOX") -> Sequence[Message]:
        """
        What lies in one of an account's mailboxes, oldest first.

        :raises launcelot.core.errors.NotFound: there is no such account or mailbox.
        """
        return self._thread.run(self._mailbox(name, mailbox))

    async def _mailbox(self, name: str, mailbox: str) -> Sequence[Message]:
        account = await self._site.accounts.account(name)
        box = await (await self._site.mail.mail(account.id, account.quota)).mailbox(mailbox)
        found = []
        for uid, size in await box.sizes():
            found.append(Message(str(account.address), "", await box.read(uid, 0, size)))
        return found

    def files(self, name: str) -> Mapping[str, bytes]:
        """
        An account's files, by path.

        :raises launcelot.core.errors.NotFound: there is no such account.
        """
        return self._thread.run(self._files(name))

    async def _files(self, name: str) -> Mapping[str, bytes]:
        account = await self._site.accounts.account(name)
        return await all_files(await self._site.files.tree(account.id, account.quota))

    def team(
        self, name: str, rights: Mapping[str, str] | None = None, quota: int = 0, files: Mapping[str, bytes] | None = None
    ) -> str:
        """
        Make a team folder.

        :param rights: who may do what in it: words such as ``"list,read"``, ``"viewer"`` or ``"editor"`` by account, group or
            ``"anyone"``.
        :param quota: octets that may be in it; 0 for no limit.
        :param files: by path below it.
        :returns: where it is in the files of those who may do anything in it, ``"/team/<name>"``.
        :raises launcelot.core.errors.Exists: there is one of that name.
        :raises launcelot.core.errors.NotFound: there is no such account or group.
        :raises launcelot.core.errors.Invalid: the name cannot be a folder's, or a word is no right.
        """
        making = make_team(self._site.accounts, self._site.files, name, rights or {}, quota, files or {})
        return f"/{self._site.team_place}/{self._thread.run(making).name}"

    def team_files(self, name: str) -> Mapping[str, bytes]:
        """
        The files in a team folder, by path below it.

        :raises launcelot.core.errors.NotFound: there is no such folder.
        """
        return self._thread.run(self._team_files(name))

    async def _team_files(self, name: str) -> Mapping[str, bytes]:
        folder = await self._site.accounts.team_folder(name)
        return await all_files(await self._site.files.tree(folder.id, folder.quota))


def octets_of(message: bytes | str | Path | EmailMessage) -> bytes:
    """A message with CRLF at its lines' ends, from octets, an object, or the path of a file."""
    if isinstance(message, EmailMessage):
        return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    octets = message if isinstance(message, bytes) else Path(message).read_bytes()
    return octets.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def serve(
    *names: str,
    tls: bool | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    domain: str = "test",
    hostname: str = "here.test",
    fault: Fault | Sequence[Fault] = (),
    kept: Kept | None = None,
) -> Served:
    """
    Serve a new Site; it listens when this returns.

    :param names: of listeners: ``smtp``, ``submission``, ``submissions``, ``lmtp``, ``imap``, ``imaps``, ``pop3``, ``pop3s``,
        ``ftp``, ``ftps``, ``managesieve``, ``questions`` and so on.
    :param tls: whether there is a certificate, so that STARTTLS is offered; otherwise only where a listener needs one.
    :param settings: of services that differ from the daemon's, such as ``{"smtp": {"max_message_size": 100_000}}``.
    :param fault: what is to go wrong, one sentence or several; see :mod:`launcelot.testing.faults`.
    :param kept: what other Sites of this run have left, and this one leaves.
    :raises LookupError: there is no such listener or setting; the text says which there are.
    """
    served = Served(wants_tls(names) if tls is None else tls, domain, hostname, kept or Kept())
    served.start(names, settings or {}, [fault] if isinstance(fault, Fault) else list(fault))
    return served
