"""
``launcelot account`` and ``launcelot alias``: the account base, with the daemon running or not.

The account base is one SQLite file that several processes may use; what is changed here counts for a running daemon at its next
question.  Mail and files have one owner at a time: while a daemon runs, it is asked to remove them.
"""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from launcelot.accounts.interface import Account, Alias, Directory
from launcelot.app.asking import ask, is_running
from launcelot.app.configuration import Configuration, configuration_for
from launcelot.app.errors import CANNOT_CREATE, FAILED, NO_INPUT, OK, TEMPORARY, Ending
from launcelot.app.folder import DataFolder
from launcelot.app.passwords import generated_password
from launcelot.app.stores import forget_account, open_accounts, run_now
from launcelot.app.streams import Streams
from launcelot.core.errors import Invalid, NotFound, Refusal
from launcelot.core.ids import AccountId
from launcelot.message.address import Address, parse_mailbox


@dataclass(frozen=True)
class Base:
    """An open account base and the configuration it belongs to."""

    configuration: Configuration
    directory: Directory

    @property
    def domain(self) -> str:
        """The domain of addresses without one."""
        return self.configuration.daemon.domains[0]

    def address(self, text: str) -> Address:
        """
        An address, at the first domain if none is given.

        :raises Invalid: it is malformed.
        """
        return parse_mailbox(text if "@" in text else f"{text}@{self.domain}")


@contextmanager
def opened(given: Namespace, make: bool) -> Iterator[Base]:
    """
    The account base of the command's data folder.

    :param make: whether a folder that is not there is made.
    :raises Ending: there is no folder, it cannot be used, or what is asked for is refused.
    """
    configuration = configuration_for(given.config, given.data)
    folder = DataFolder(configuration.data)
    if not make and not os.path.isdir(folder.path):
        raise Ending(f"{folder.path}: no such data folder; name the daemon's with --data or --config", NO_INPUT)
    become_owner(configuration)
    folder.prepare()
    try:
        directory = run_now(open_accounts(configuration))
        try:
            yield Base(configuration, directory)
        finally:
            run_now(directory.close())
    except Refusal as refusal:
        raise Ending(refusal.text, TEMPORARY if refusal.temporary else FAILED) from refusal


def become_owner(configuration: Configuration) -> None:
    """As root, act as the user whose folder it is: files that root makes in it would be closed to the daemon."""
    if os.geteuid() != 0 or not os.path.exists(configuration.data):
        return
    owner = configuration.data.stat()
    if owner.st_uid == 0:
        return
    try:
        os.setgroups([])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
    except OSError as error:
        text = f"{configuration.data}: belongs to user {owner.st_uid}, whom we cannot act as: {error.strerror}"
        raise Ending(text, CANNOT_CREATE) from error


# -- accounts ------------------------------------------------------------------------------------------------------


def add_account(given: Namespace, streams: Streams) -> int:
    """Make an account."""
    with opened(given, make=True) as base:
        address = base.address(given.address or given.name)
        name = address.local if "@" in given.name else given.name
        run_now(refuse_taken(base.directory, name))
        password = generated_password() if given.generate else streams.read_password()
        account = run_now(base.directory.add(name, address, password, given.quota))
    answer = described(account)
    if given.generate:
        answer["password"] = password
    tell(given, streams, answer, f"added {account.name} <{account.address}>{said(answer)}")
    return OK


async def refuse_taken(directory: Directory, name: str) -> None:
    """
    Say that a name is taken before a person has typed a password twice.

    :raises Ending: it is.
    """
    try:
        account = await directory.account(name)
    except (NotFound, Invalid):
        return
    raise Ending(f"{account.name} already exists", FAILED)


def list_accounts(given: Namespace, streams: Streams) -> int:
    """All accounts."""
    with opened(given, make=False) as base:
        accounts = run_now(base.directory.accounts())
    if given.json:
        streams.say_json({"accounts": [described(account) for account in accounts]})
    else:
        for account in accounts:
            streams.say(line_of(account))
    return OK


def change_account(given: Namespace, streams: Streams) -> int:
    """Change an account's limits and what it may do."""
    with opened(given, make=False) as base:
        account = run_now(named(base.directory, given.name))
        changed = run_now(
            base.directory.change(
                account.name,
                quota=given.quota,
                messages=given.messages,
                enabled=decided(given.enabled),
                administrator=decided(given.administrator),
            )
        )
        if not changed.enabled:
            end_sessions(base.configuration, changed.name)
    tell(given, streams, described(changed), line_of(changed))
    return OK


def decided(word: str | None) -> bool | None:
    """Yes, no, or nothing said."""
    return None if word is None else word == "yes"


def line_of(account: Account) -> str:
    """An account for people."""
    words = [account.name, f"<{account.address}>"]
    if account.quota:
        words.append(f"{account.quota} octets")
    if account.messages:
        words.append(f"{account.messages} messages")
    if account.administrator:
        words.append("administrator")
    if account.apop:
        words.append("apop")
    return "  ".join(words if account.enabled else [*words, "disabled"])


def change_password(given: Namespace, streams: Streams) -> int:
    """Give an account another password."""
    with opened(given, make=False) as base:
        account = run_now(named(base.directory, given.name))
        password = generated_password() if given.generate else streams.read_password()
        run_now(base.directory.set_password(account.name, password))
        end_sessions(base.configuration, account.name)
    answer = described(account)
    if given.generate:
        answer["password"] = password
    tell(given, streams, answer, f"changed the password of {account.name}{said(answer)}")
    return OK


def change_apop(given: Namespace, streams: Streams) -> int:
    """Give an account a secret for APOP, or take it away."""
    with opened(given, make=False) as base:
        account = run_now(named(base.directory, given.name))
        secret = None
        if not given.off:
            secret = generated_password() if given.generate else streams.read_password()
        changed = run_now(base.directory.set_shared_secret(account.name, secret))
        end_sessions(base.configuration, changed.name)
    answer = described(changed)
    if given.generate:
        answer["secret"] = secret
    if secret is None:
        tell(given, streams, answer, f"{changed.name} cannot log in with APOP")
    else:
        shown = f"; its secret is {secret}" if given.generate else ""
        tell(given, streams, answer, f"{changed.name} can log in to POP3 with APOP{shown}; the secret is stored as it is")
    return OK


def remove_account(given: Namespace, streams: Streams) -> int:
    """Remove an account, then its mail and files."""
    with opened(given, make=False) as base:
        account = run_now(named(base.directory, given.name))
        with forgetting(base.configuration) as forget:
            removed = run_now(base.directory.remove(account.name))
            end_sessions(base.configuration, removed.name)
            forget(removed.id)
    tell(given, streams, described(removed), f"removed {removed.name} with its mail and files")
    return OK


async def named(directory: Directory, name: str) -> Account:
    """
    An account.

    :raises Ending: there is none of this name.
    """
    try:
        return await directory.account(name)
    except NotFound:
        raise Ending(f"there is no account {name!r}; see launcelot account list", FAILED) from None


@contextmanager
def forgetting(configuration: Configuration) -> Iterator[Callable[[AccountId], None]]:
    """
    What removes an account's mail and files: the daemon if one runs, else we, who hold its folder meanwhile.

    :raises Ending: another process holds the folder and cannot be asked, or it could not be done.
    """
    if is_running(configuration.admin_socket):
        yield lambda account: asked_to_forget(configuration, account)
        return
    folder = DataFolder(configuration.data)
    folder.lock()
    try:
        yield lambda account: run_now(forget_account(configuration, account))
    finally:
        folder.release()


def end_sessions(configuration: Configuration, name: str) -> None:
    """Have a running daemon send away whoever is logged in under a name; they can log in again if they still may."""
    if is_running(configuration.admin_socket):
        ask(configuration.admin_socket, {"ask": "end", "name": name})


def asked_to_forget(configuration: Configuration, account: AccountId) -> None:
    """Have the daemon do it."""
    ask(configuration.admin_socket, {"ask": "forget", "account": account})


def described(account: Account) -> dict[str, Any]:
    """An account for programs."""
    return {
        "user": account.name,
        "address": str(account.address),
        "quota": account.quota,
        "enabled": account.enabled,
        "messages": account.messages,
        "administrator": account.administrator,
        "apop": account.apop,
    }


def said(answer: Mapping[str, Any]) -> str:
    """A generated password for people."""
    return f", password {answer['password']}" if "password" in answer else ""


def tell(given: Namespace, streams: Streams, answer: Mapping[str, Any], sentence: str) -> None:
    """The answer, for programs or for people."""
    if given.json:
        streams.say_json(answer)
    else:
        streams.say(sentence)


# -- aliases -------------------------------------------------------------------------------------------------------


def add_alias(given: Namespace, streams: Streams) -> int:
    """Have mail for an address go to others."""
    with opened(given, make=True) as base:
        targets = [base.address(target) for target in given.targets]
        check_way_out(base, targets)
        alias = run_now(base.directory.add_alias(base.address(given.address), targets))
    tell(given, streams, described_alias(alias), f"added {written(alias)}")
    return OK


def check_way_out(base: Base, addresses: Iterable[Address]) -> None:
    """
    Whether mail can go to addresses at other hosts, if some are.

    :raises Ending: it cannot.
    """
    foreign = next((one for one in addresses if not base.directory.is_local(one.domain)), None)
    if foreign is not None and not base.configuration.relay.enabled:
        text = f"{foreign}: not a domain of this server, and mail does not go to others: [relay] says enabled = false"
        raise Ending(text, FAILED)


def list_aliases(given: Namespace, streams: Streams) -> int:
    """All aliases."""
    with opened(given, make=False) as base:
        aliases = run_now(base.directory.aliases())
    if given.json:
        streams.say_json({"aliases": [described_alias(alias) for alias in aliases]})
    else:
        streams.say(*map(written, aliases))
    return OK


def remove_alias(given: Namespace, streams: Streams) -> int:
    """Remove an alias."""
    with opened(given, make=False) as base:
        alias = run_now(base.directory.remove_alias(base.address(given.address)))
    tell(given, streams, described_alias(alias), f"removed {written(alias)}")
    return OK


def described_alias(alias: Alias) -> dict[str, Any]:
    """An alias for programs."""
    return {"address": str(alias.address), "targets": [str(target) for target in alias.targets]}


def written(alias: Alias) -> str:
    """An alias for people."""
    return f"{alias.address} -> {', '.join(map(str, alias.targets))}"
