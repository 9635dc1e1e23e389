"""
``launcelot dkim``: keys that mail is signed with, made, listed and removed.

A running daemon signs with what is in the folder at its next message; nothing has to be restarted.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from launcelot.app.configuration import Configuration, configuration_for
from launcelot.app.errors import CONFIGURATION, FAILED, OK, USAGE, Ending
from launcelot.app.folder import DataFolder, cannot_write
from launcelot.app.people import become_owner
from launcelot.app.streams import Streams
from launcelot.checks.keys import KINDS, BadKey, KeyFolder, SigningKey, make_key, read_key, strings_of
from launcelot.core.errors import Invalid
from launcelot.message.address import domain_key, parse_domain


def new(given: Namespace, streams: Streams) -> int:
    """Make a key of each kind that is wanted, and show what has to be published."""
    configuration = configuration_for(given.config, given.data)
    domain = our_domain(configuration, given.domain)
    kinds = KINDS if given.kind == "both" else (given.kind,)
    folder = prepared(configuration)
    made: list[SigningKey] = []
    for kind in kinds:
        selector = (given.selector or time.strftime("%Y%m%d", time.gmtime())).lower()
        if len(kinds) > 1 or not given.selector:
            selector = f"{kind}-{selector}"
        try:
            key = make_key(domain, selector, kind)
            folder.add(key)
        except BadKey as bad:
            raise Ending(str(bad), FAILED) from bad
        except OSError as error:
            raise cannot_write(folder.folder, error) from error
        made.append(key)
    if given.json:
        streams.say_json({"keys": [described(key) for key in made]})
    else:
        signs = "mail from it is signed from now on" if configuration.dkim.sign else "nothing is signed while dkim.sign is false"
        streams.say(f"; publish these records of {domain}; {signs}", *(zone_line(key.name, key.record) for key in made))
    return OK


def listing(given: Namespace, streams: Streams) -> int:
    """All keys, those that cannot be used with the reason."""
    configuration = configuration_for(given.config, given.data)
    become_owner(configuration)
    folder = KeyFolder(configuration.dkim_folder)
    found: list[Mapping[str, Any]] = []
    for domain in folder.domains():
        for path in folder.paths(domain):
            try:
                found.append(described(read_key(path, domain)))
            except BadKey as bad:
                found.append({"domain": domain, "selector": path.stem, "kind": "", "name": "", "record": "", "fault": str(bad)})
    if given.json:
        streams.say_json({"keys": found})
    else:
        streams.say(*(f"{one['domain']}  {one['selector']}  {one['kind'] or one['fault']}" for one in found))
    return CONFIGURATION if any(one["fault"] for one in found) else OK


def remove(given: Namespace, streams: Streams) -> int:
    """Sign with a key no more."""
    configuration = configuration_for(given.config, given.data)
    become_owner(configuration)
    domain, selector = our_domain(configuration, given.domain, known=False), given.selector.lower()
    try:
        KeyFolder(configuration.dkim_folder).remove(domain, selector)
    except BadKey as bad:
        raise Ending(str(bad), FAILED) from bad
    except OSError as error:
        raise cannot_write(configuration.dkim_folder, error) from error
    if given.json:
        streams.say_json({"domain": domain, "selector": selector})
    else:
        streams.say(f"removed {selector} of {domain}; leave its record for a week, for mail that is still on its way")
    return OK


def our_domain(configuration: Configuration, text: str, known: bool = True) -> str:
    """
    A domain in A-labels.

    :param known: it must be one of ours.
    :raises Ending: it is no domain, or not ours.
    """
    try:
        domain = domain_key(parse_domain(text))
    except Invalid as invalid:
        raise Ending(f"{text!r}: {invalid.text}", USAGE) from invalid
    ours = [domain_key(one) for one in configuration.daemon.domains]
    if known and domain not in ours:
        raise Ending(f"{domain} is not among daemon.domains ({', '.join(ours)}); add it there first", FAILED)
    return domain


def prepared(configuration: Configuration) -> KeyFolder:
    """The folder of keys, where it can be written, as whoever owns the data."""
    become_owner(configuration)
    DataFolder(configuration.data).prepare()
    return KeyFolder(configuration.dkim_folder)


def described(key: SigningKey) -> Mapping[str, Any]:
    """A key as JSON."""
    return {
        "domain": key.domain, "selector": key.selector, "kind": key.kind, "name": key.name, "record": key.record, "fault": "",
    }  # fmt: skip


def zone_line(name: str, text: str) -> str:
    """A TXT record as a line of a zone file; a long one in several strings."""
    return f"{name}. IN TXT {quoted(strings_of(text))}"


def quoted(strings: Sequence[str]) -> str:
    """Strings as a zone file has them."""
    words = [f'"{one}"' for one in (text.replace("\\", "\\\\").replace('"', '\\"') for text in strings)]
    return words[0] if len(words) == 1 else f"( {' '.join(words)} )"
