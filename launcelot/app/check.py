"""``launcelot check`` and ``launcelot config example``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from launcelot.app.configuration import Configuration, Fault, read
from launcelot.app.errors import CONFIGURATION, OK
from launcelot.app.positions import line_of
from launcelot.app.streams import Streams


def check(given: Namespace, streams: Streams) -> int:
    """
    Every fault of a file, in one go, with its line; a configured certificate is read, too.

    :raises Ending: the file cannot be read.
    """
    path = Path(given.file)
    configuration, faults = read(path)
    if not any(one.key.partition(".")[0] == "tls" for one in faults):
        faults = sorted([*faults, *certificate_faults(configuration)], key=lambda one: (one.line, one.key))
    if given.json:
        problems = [{"line": one.line, "key": one.key, "text": one.text} for one in faults]
        streams.say_json({"file": str(path), "ok": not faults, "problems": problems})
    else:
        streams.say(*(f"{path}:{fault.line}: {fault}" for fault in faults))
        if not faults:
            streams.say(f"{path}: right")
    return CONFIGURATION if faults else OK


def certificate_faults(configuration: Configuration) -> list[Fault]:
    """What is wrong with a configured certificate."""
    settings = configuration.tls
    if not (settings.enabled and settings.certificate):
        return []
    from launcelot.hosting.tls import BadCertificate, ServerTls

    try:
        ServerTls(Path(settings.certificate), Path(settings.key), settings.minimum_version)
    except BadCertificate as bad:
        blamed = str(bad).startswith(f"{settings.key}:") and settings.key != settings.certificate
        key = "key" if blamed else "certificate"
        return [Fault(line_of(configuration.lines, ("tls", key)), f"tls.{key}", str(bad))]
    return []


def show_example(given: Namespace, streams: Streams) -> int:
    """The sample file."""
    from launcelot.app.example import example

    text = example()
    if given.json:
        streams.say_json({"example": text})
    else:
        streams.output.write(text)
        streams.output.flush()
    return OK
