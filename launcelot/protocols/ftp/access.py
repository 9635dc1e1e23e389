"""FTP's verbs of access: who the peer is, TLS, where data connections come from, and how octets are represented."""

from __future__ import annotations

from launcelot.core.errors import BadCredentials, LimitReached, NotFound, TryLater
from launcelot.core.sasl import MAX_SECRET
from launcelot.filestore.viewing import ViewedTree
from launcelot.protocols.ftp import grammar
from launcelot.protocols.ftp.answers import Answer, Goodbye, StartTLS
from launcelot.protocols.ftp.grammar import reply
from launcelot.protocols.ftp.session import LOGIN_TRIES, NoChannel, Session, State

NOBODY = frozenset({"anonymous", "ftp"})
"""Names of whoever has none.  RFC 1635 section 2."""

# -- who -----------------------------------------------------------------------------------------------------------


async def host(session: Session, name: str) -> Answer:
    """Say which host the client means; there is one, under all its names.  RFC 7151 section 3."""
    if session.state is not State.START:
        return reply(503, "Say HOST before USER.")
    given, site = name.strip().lower(), session.site
    known = given in (site.hostname.lower(), "localhost") or site.accounts.is_local(given)
    return reply(220, f"{site.hostname} FTP ready.") if known else reply(504, "There is no such host here.")


async def user(session: Session, name: str) -> Answer:
    """Say who logs in; whether there is such an account is not told.  RFC 959 section 4.1.1."""
    if session.state is State.READY:
        session.log_out()
    session.is_nobody = name.casefold() in NOBODY
    refused = session.may_log_in
    if refused:
        return reply(530, refused)
    if session.is_nobody and not session.settings.anonymous:
        return reply(530, "Anonymous login is not offered.")
    session.enter(State.NAMED)
    session.name = name
    return reply(331, "Any password will do." if session.is_nobody else "Password, please.")


async def password(session: Session, secret: bytes) -> Answer:
    """Prove it; after three failures the connection is closed.  RFC 959 section 4.1.1."""
    if session.state is not State.NAMED:
        return reply(503, "Say USER first.")
    if session.is_nobody:
        return await let_nobody_in(session)
    try:
        if len(secret) > MAX_SECRET or len(session.name) > MAX_SECRET:
            raise BadCredentials
        account = await session.site.logins.by_password(session.name, secret_text(secret), session.source, "ftp")
    except BadCredentials:
        return failed(session)
    except (LimitReached, TryLater) as refusal:
        return Goodbye(reply(421, refusal.text), "login refused")
    session.log_in(account, await session.site.tree(account))
    session.wire.limit_total(None)
    return reply(230, "Logged in.")


async def let_nobody_in(session: Session) -> Answer:
    """Show somebody without a name the team folder that everybody may see, and let nothing be changed.  RFC 1635."""
    site = session.site
    try:
        folder = await site.accounts.team_folder(session.settings.anonymous)
        tree = await site.files.tree(folder.id, folder.quota, folder.id)
    except NotFound:
        return failed(session)
    except TryLater as refusal:
        return Goodbye(reply(421, refusal.text), "login refused")
    session.log_in(None, ViewedTree(tree))
    session.wire.limit_total(None)
    return reply(230, "Logged in, to look and to read.")


def secret_text(secret: bytes) -> str:
    """A password from the wire; passwords are UTF-8, so other octets cannot be right."""
    try:
        return secret.decode("utf-8")
    except UnicodeDecodeError:
        raise BadCredentials from None


def failed(session: Session) -> Answer:
    """Answer a wrong password."""
    session.enter(State.START)
    session.failures += 1
    if session.failures >= LOGIN_TRIES:
        return Goodbye(reply(421, "Too many failed logins."), "login failed")
    return reply(530, "Name or password is wrong.")


async def quit(session: Session, _: None) -> Answer:
    """End the session, after any transfer has ended.  RFC 959 section 4.1.1."""
    return Goodbye(reply(221, "Goodbye."), "quit")


async def reinitialize(session: Session, _: None) -> Answer:
    """Log out and begin again; TLS stays.  RFC 959 section 4.1.1."""
    session.begin()
    session.wire.limit_total(session.settings.login_timeout)
    return reply(220, "Ready for a new user.")


# -- TLS -----------------------------------------------------------------------------------------------------------


async def auth(session: Session, mechanism: str) -> Answer:
    """Start TLS on the control connection.  RFC 4217 section 4."""
    if not session.site.has_tls:
        return reply(502, "TLS is not offered.")
    if session.wire.secure:
        return reply(503, "TLS is already in use.")
    if mechanism.upper() not in ("TLS", "TLS-C", "SSL"):
        return reply(504, "Only AUTH TLS is offered.")
    return StartTLS(reply(234, "Begin TLS."))


async def buffer_size(session: Session, size: int) -> Answer:
    """Agree on buffer size 0, whatever was asked for, as TLS needs.  RFC 4217 section 8, RFC 2228 section 3."""
    if not session.wire.secure:
        return reply(503, "Say AUTH TLS first.")
    session.buffered = True
    return reply(200, "PBSZ=0")


async def protection(session: Session, level: str) -> Answer:
    """Choose whether data connections speak TLS.  RFC 4217 section 9."""
    if not session.wire.secure or not session.buffered:
        return reply(503, "Say AUTH TLS and PBSZ 0 first.")
    level = level.upper()
    if level == "P":
        session.protected = True
        return reply(200, "Data connections speak TLS.")
    if level == "C":
        if session.settings.require_tls == "both":
            return reply(534, "Data connections must speak TLS.")
        session.protected = False
        return reply(200, "Data connections are clear.")
    return reply(536 if level in ("S", "E") else 504, "Only PROT P and PROT C are offered.")


async def clear_control(session: Session, _: None) -> Answer:
    """Refused: a control connection that leaves TLS can be hijacked.  RFC 4217 section 5 allows refusing."""
    return reply(534, "The control connection stays in TLS.")


# -- data connections ----------------------------------------------------------------------------------------------


async def passive(session: Session, _: None) -> Answer:
    """Listen for the data connection and tell where.  RFC 959 section 4.1.2."""
    if session.epsv_all:
        return reply(503, "Only EPSV is allowed after EPSV ALL.")
    try:
        return grammar.passive_reply(*await session.data.listen(extended=False))
    except NoChannel as refused:
        return reply(425, str(refused))


async def extended_passive(session: Session, wanted: str) -> Answer:
    """Listen for the data connection and tell the port.  RFC 2428 section 3."""
    if wanted == "ALL":
        session.epsv_all = True
        return reply(200, "Only EPSV from now on.")
    if wanted and int(wanted) != session.data.family:
        return reply(522, f"Network protocol not supported, use ({session.data.family})")
    try:
        _, port = await session.data.listen(extended=True)
    except NoChannel as refused:
        return reply(425, str(refused))
    return grammar.extended_passive_reply(port)


async def active(session: Session, address: tuple[str, int]) -> Answer:
    """Take an address to connect to, the peer's own.  RFC 959 section 4.1.2, RFC 2428 section 2, RFC 2577 section 3."""
    host, port = address
    if session.epsv_all:
        return reply(503, "Only EPSV is allowed after EPSV ALL.")
    if port < 1024 or not session.data.is_peer(host):
        session.site.counters.add("ftp.data.bounced")
        return reply(501, "Only ports from 1024 on of your own address are connected to.")
    session.data.aim(host, port)
    return reply(200, "I will connect there.")


def ready_for_data(session: Session) -> bytes:
    """Why no transfer can begin now; empty if one can."""
    if session.settings.require_tls == "both" and not session.protected:
        return reply(521, "Data connections must speak TLS, send PBSZ 0 and PROT P first.")
    if not session.data.ready:
        return reply(425, "Say EPSV, PASV, EPRT or PORT first.")
    return b""


# -- how -----------------------------------------------------------------------------------------------------------


async def representation(session: Session, ascii: bool) -> Answer:
    """TYPE A or I.  RFC 959 section 3.1.1."""
    session.ascii = ascii
    return reply(200, "Type is ASCII." if ascii else "Type is image.")


async def structure(session: Session, kind: str) -> Answer:
    """Only files.  RFC 959 section 3.1.2."""
    return reply(200, "Structure is file.") if kind.upper() == "F" else reply(504, "Only STRU F is offered.")


async def mode(session: Session, kind: str) -> Answer:
    """Only streams.  RFC 959 section 3.4."""
    return reply(200, "Mode is stream.") if kind.upper() == "S" else reply(504, "Only MODE S is offered.")


async def restart(session: Session, offset: int) -> Answer:
    """Where the next RETR or STOR begins; octets as they are stored, so TYPE A has none.  RFC 3659 section 5."""
    if session.ascii and offset:
        return reply(501, "Restarting needs TYPE I.")
    session.offset = offset
    return reply(350, f"The next transfer begins at {offset}.")


async def allocate(session: Session, size: int) -> Answer:
    """No room need be asked for.  RFC 959 section 4.1.3."""
    return reply(202, "No allocation is needed.")
