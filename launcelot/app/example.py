"""
The sample configuration, written from the declarations of the settings.

Every key stands in it with text, unit, range and default, commented out; so the file as it is means the defaults.
"""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Iterator
from typing import Any

from launcelot.app.catalogue import SERVICES, settings_of
from launcelot.app.configuration import GROUPS
from launcelot.app.guests import BadGuest, Offers, find, offers, who
from launcelot.app.settings import CONFIG_VERSION, ServiceSwitch
from launcelot.core.settings import Declared, declared, default_of

WIDTH = 110

HEAD = f"""\
# Launcelot's configuration.  Made by `launcelot config example`; check yours with `launcelot check FILE`.
#
# Every key has a default and stands here with it, commented out: remove the # to change one.  Lengths of time are in
# seconds, sizes in octets.  Endpoints are Twisted's endpoint strings, such as "tcp:25", "tcp6:25",
# "tcp:25:interface=192.0.2.1" or "unix:/run/launcelot/smtp.sock"; an empty list listens nowhere.  With "proxied:" before
# it ("proxied:tcp:25") an endpoint is for load balancers that tell who the client is; see proxy_networks.

config_version = {CONFIG_VERSION}
"""


def example(offered: Offers | None = None) -> str:
    """
    The whole file.

    :param offered: the guests in it; those of installed distributions unless given.
    """
    offered = offers() if offered is None else offered
    parts = [HEAD]
    for name, group in GROUPS.items():
        parts.append("\n".join([f"\n[{name}]", *_keys(group)]))
    for name, entry in SERVICES.items():
        title = f"\n# {entry.title}."
        parts.append("\n".join([title, f"[{name}]", *_keys(ServiceSwitch), *_keys(settings_of(name))]))
    parts += ["\n".join(["", *_guest(name, offered)]) for name in sorted(offered)]
    return "\n".join(parts) + "\n"


def _guest(name: str, offered: Offers) -> Iterator[str]:
    """The table of a guest, commented out as a whole: a guest runs only where it has one."""
    try:
        entry = find(name, offered)
    except BadGuest as bad:
        yield from _comment(sentence(bad.text))
        return
    yield from _comment(f"{entry.title}.  From {who(offered[name][0])}; without this table it does not run.")
    yield f"#[{name}]"
    yield from _keys(ServiceSwitch)
    yield from _keys(entry.settings())


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _keys(group: type[Any]) -> Iterator[str]:
    for one in dataclasses.fields(group):
        yield ""
        yield from explain(declared(one))
        yield f"#{one.name} = {write(default_of(one))}"


def explain(known: Declared) -> list[str]:
    """Text, unit and range of a setting as comment lines."""
    text = sentence(known.text)
    if known.unit:
        text += f" In {known.unit}."
    if known.minimum is not None or known.maximum is not None:
        text += f" {bounds(known)}."
    if known.choices:
        text += f" One of {', '.join(write(one) for one in known.choices)}."
    return _comment(text)


def sentence(text: str) -> str:
    """A declaration's text as a sentence."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def bounds(known: Declared) -> str:
    """The range of a number in words."""
    if known.maximum is None:
        return f"At least {_number(known.minimum)}"
    if known.minimum is None:
        return f"At most {_number(known.maximum)}"
    return f"From {_number(known.minimum)} to {_number(known.maximum)}"


def _number(value: float | None) -> str:
    return "" if value is None else str(int(value)) if value == int(value) else str(value)


def write(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(write, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
