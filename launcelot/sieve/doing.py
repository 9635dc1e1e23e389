"""The actions of the language, each a function of the run and its arguments."""

from __future__ import annotations

import hashlib
import re

from launcelot.core.errors import Invalid
from launcelot.message.address import Address, parse_mailbox
from launcelot.message.headers import Group, parse_address_list
from launcelot.sieve.actions import FileInto, Keep, Notify, Redirect, Reject, Vacation
from launcelot.sieve.flags import flags_of, without
from launcelot.sieve.grammar import ScriptError
from launcelot.sieve.methods import known_method
from launcelot.sieve.run import Return, Run, RunError, Stop
from launcelot.sieve.signature import Bound, Kind, Option, Signature
from launcelot.sieve.variables import IDENTIFIER, clashing, modified

DAY = 86_400
MAX_DAYS = 365
"""Days between two answers at most; RFC 5230 section 4.1 asks for at least 30."""
DEFAULT_DAYS = 7
MAX_VALUE = 8_192
"""Characters of a header field that is added."""
MAX_LINES = 2_000
"""Header fields of a message when a script adds some."""
PROTECTED = frozenset({"received", "auto-submitted"})
"""Fields that no script deletes.  RFC 5293 section 6."""
LIST_FIELDS = (
    "list-id", "list-help", "list-subscribe", "list-unsubscribe", "list-post", "list-owner", "list-archive",
)  # fmt: skip
"""Whoever writes these is not answered.  RFC 5230 section 4.6."""
OWN_FIELDS = ("to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc")
_MACHINES = re.compile(
    r"mailer-daemon|listserv|majordomo|no-?reply|do-?not-?reply|owner-.*|.*-owner|.*-request|.*-bounces?", re.IGNORECASE
)
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
_EXTENSION_OF = {"quoteregex": "regex", "encodeurl": "enotify"}
"""Modifiers that are not of RFC 5229."""
_MODIFIERS = ("lower", "upper", "lowerfirst", "upperfirst", "quotewildcard", "quoteregex", "encodeurl", "length")


def _keep(run: Run, action: Bound) -> None:
    """RFC 5228 section 4.3."""
    run.add(Keep(run.edits, _flags(run, action)), True)


def _discard(run: Run, action: Bound) -> None:
    """RFC 5228 section 4.4."""
    run.note("discard")
    run.cancelled = True


def _stop(run: Run, action: Bound) -> None:
    """RFC 5228 section 3.3."""
    run.note("stop")
    raise Stop


def _return(run: Run, action: Bound) -> None:
    """RFC 6609 section 3.3."""
    raise Return


def _flags(run: Run, action: Bound) -> tuple[str, ...]:
    given = action.options.get("flags")
    return run.flags if given is None else flags_of(run.texts(given))


def _file_into(run: Run, action: Bound) -> None:
    """RFC 5228 section 4.1; RFC 3894, RFC 5232, RFC 5490, RFC 8579."""
    mailbox = run.text(action.text(0))
    use = run.text(action.options.get("specialuse", ""))
    wanted = FileInto(run.edits, mailbox, _flags(run, action), "create" in action.options, use)
    run.add(wanted, "copy" not in action.options)


def _redirect(run: Run, action: Bound) -> None:
    """RFC 5228 section 4.2; RFC 3894."""
    address = _mail_address(run.text(action.text(0)))
    run.add(Redirect(run.edits, str(address)), "copy" not in action.options)


def _mail_address(text: str) -> Address:
    found = parse_address_list(text.encode("utf-8", "replace"))
    address = found[0].address if len(found) == 1 and not isinstance(found[0], Group) else None
    if address is None:
        raise RunError(f"{text!r} is no mail address")
    return address


def _reject(run: Run, action: Bound) -> None:
    """RFC 5429."""
    run.add(Reject(run.text(action.text(0)), action.signature.name == "ereject"), True)


def _set_flag(run: Run, action: Bound) -> None:
    """``setflag``, ``addflag`` and ``removeflag``.  RFC 5232 section 3."""
    variable = action.values[0]
    if variable is not None and not run.has("variables"):
        raise RunError(f'{action.signature.name} of a variable needs require "variables"')
    given = flags_of(run.texts(action.texts(1)))
    before = run.flags if variable is None else flags_of([run.variables.get(variable)])
    if action.signature.name == "addflag":
        given = flags_of([*before, *given])
    elif action.signature.name == "removeflag":
        given = without(before, given)
    if variable is None:
        run.flags = given
    else:
        _store(run, variable, " ".join(given))
    run.note(f"{action.signature.name}: {' '.join(given) or 'no flags'}")


def _set(run: Run, action: Bound) -> None:
    """RFC 5229 section 4."""
    value = modified(run.text(action.text(1)), list(action.options))
    _store(run, action.text(0), value)
    run.note(f"set {action.text(0)} to {value[:60]!r}")


def _store(run: Run, name: str, value: str) -> None:
    run.work.spend(len(value) >> 8)
    if not run.variables.set(name, value):
        raise RunError(f"there are more than {run.situation.limits.variables} variables")


def _global(run: Run, action: Bound) -> None:
    """RFC 6609 section 3.4.1."""
    for name in action.texts(0):
        run.variables.declare_global(name)


def _error(run: Run, action: Bound) -> None:
    """RFC 5463 section 5."""
    raise RunError(run.text(action.text(0)))


def _add_header(run: Run, action: Bound) -> None:
    """RFC 5293 section 4."""
    name, value = run.text(action.text(0)), run.text(action.text(1))
    if not _FIELD_NAME.fullmatch(name):
        raise RunError(f"{name!r} is no name of a header field")
    if len(run.edits.lines) >= MAX_LINES:
        raise RunError("there are too many header fields")
    try:
        run.edits = run.edits.added(name, " ".join(value[:MAX_VALUE].split()), "last" in action.options)
    except Invalid as invalid:
        raise RunError(f"{name} cannot be added: {invalid.text}") from invalid
    run.work.spend(len(run.edits.lines) // 8)
    run.note(f"addheader {name}")


def _delete_header(run: Run, action: Bound) -> None:
    """RFC 5293 section 5."""
    name = run.text(action.text(0))
    if not _FIELD_NAME.fullmatch(name):
        raise RunError(f"{name!r} is no name of a header field")
    if name.lower() in PROTECTED:
        return
    lines = run.edits.named(name)
    index = action.options.get("index")
    if index is not None:
        place = len(lines) - index if "last" in action.options else index - 1
        lines = lines[place : place + 1] if index and place >= 0 else ()
    if action.values[1] is not None:
        lines = tuple(line for line in lines if run.match(action.matching, [line.text], action.texts(1)))
    run.work.spend(len(run.edits.lines) // 8)
    run.edits = run.edits.without(lines)
    run.note(f"deleteheader {name}: {len(lines)}")


def _vacation(run: Run, action: Bound) -> None:
    """RFC 5230, RFC 6131."""
    options = action.options
    reason, subject = run.text(action.text(0)), run.text(options.get("subject", ""))
    sender = str(_mail_address(run.text(options["from"]))) if options.get("from") else ""
    given = run.text(options.get("handle", ""))
    whole = "\0".join((reason, subject, sender, str("mime" in options)))
    handle = f"given:{given}" if given else hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()
    if "seconds" in options:
        seconds = min(options["seconds"], MAX_DAYS * DAY)
    else:
        seconds = max(1, min(options.get("days", DEFAULT_DAYS), MAX_DAYS)) * DAY
    why = unanswerable(run, run.texts(options.get("addresses", ())))
    if why:
        run.note(f"vacation: no answer, {why}")
        return
    run.add(Vacation(run.situation.sender, sender, subject, reason, "mime" in options, handle, seconds), False)


def unanswerable(run: Run, addresses: tuple[str, ...]) -> str:
    """Why a message is not one to answer; empty if it is.  RFC 5230 sections 4.5 and 4.6."""
    sender = run.situation.sender
    if not sender:
        return "it has no sender"
    if _MACHINES.fullmatch(sender.rpartition("@")[0]):
        return "its sender is a program"
    named = next((name for name in LIST_FIELDS if run.edits.named(name)), "")
    if named:
        return f"it has a {named} field"
    if _is_automatic(run):
        return "it was not written by a person"
    if any(line.text.strip().lower() in ("bulk", "junk", "list") for line in run.edits.named("precedence")):
        return "its precedence says that many have it"
    own = {_key(one) for one in (run.situation.recipient, *run.situation.addresses, *addresses)} - {""}
    if _key(sender) in own:
        return "it comes from its own recipient"
    for name in OWN_FIELDS:
        for line in run.edits.named(name):
            for one in parse_address_list(line.raw):
                for member in one.members if isinstance(one, Group) else (one,):
                    if member.address is not None and member.address.key in own:
                        return ""
    return "it names none of the recipient's addresses"


def _is_automatic(run: Run) -> bool:
    """Whether a message says that a program wrote it.  RFC 3834 section 5."""
    return any(line.text.partition(";")[0].strip().lower() != "no" for line in run.edits.named("auto-submitted"))


def _key(text: str) -> str:
    try:
        return parse_mailbox(text).key
    except Invalid:
        return ""


def _notify(run: Run, action: Bound) -> None:
    """RFC 5435 section 3."""
    method = run.text(action.text(0))
    if not known_method(method):
        raise RunError(f"{method[:80]!r} is no method of notification; mailto: is")
    options = action.options
    importance = run.text(options.get("importance", "2"))
    if importance not in ("1", "2", "3"):
        raise RunError(":importance is 1, 2 or 3")
    sender = str(_mail_address(run.text(options["from"]))) if options.get("from") else ""
    message = run.text(options.get("message", ""))
    if _is_automatic(run):
        # RFC 5436 section 2.7.
        run.note("notify: nobody is notified, the message was not written by a person")
        return
    run.add(Notify(method, sender, int(importance), run.texts(options.get("options", ())), message), False)


def _check_set(action: Bound) -> None:
    name = action.text(0)
    if not IDENTIFIER.fullmatch(name.lower().removeprefix("global.")):
        raise ScriptError(f"{name!r} cannot be the name of a variable", action.line)
    if clashing(list(action.options)):
        raise ScriptError("two of these modifiers do the same", action.line)


def _check_variable(action: Bound) -> None:
    name = action.values[0]
    if name is not None and not IDENTIFIER.fullmatch(name.lower().removeprefix("global.")):
        raise ScriptError(f"{name!r} cannot be the name of a variable", action.line)


def _check_global(action: Bound) -> None:
    for name in action.texts(0):
        if not IDENTIFIER.fullmatch(name):
            raise ScriptError(f"{name!r} cannot be the name of a variable", action.line)


def _check_index(action: Bound) -> None:
    if "last" in action.options and "index" not in action.options:
        raise ScriptError(":last needs :index beside it", action.line)


def _check_redirect(action: Bound) -> None:
    if "${" not in action.text(0):
        try:
            _mail_address(action.text(0))
        except RunError as error:
            raise ScriptError(str(error), action.line) from error


def _check_reason(action: Bound) -> None:
    mime = action.text(0) if "mime" in action.options else ""
    if not mime.partition("\r\n\r\n")[0].isascii():
        raise ScriptError("the header of a :mime answer has to be ASCII", action.line)


_TEXT, _LIST = Kind.STRING, Kind.STRINGS
_COPY = {"copy": Option(extension="copy")}
_FLAGS = {"flags": Option(_LIST, "imap4flags")}

ACTIONS = (
    Signature("keep", "action", options=_FLAGS, run=_keep),
    Signature("discard", "action", run=_discard),
    Signature("stop", "action", run=_stop),
    Signature("return", "action", "include", run=_return),
    Signature(
        "fileinto",
        "action",
        "fileinto",
        (_TEXT,),
        options={
            **_COPY,
            **_FLAGS,
            "create": Option(extension="mailbox"),
            "specialuse": Option(_TEXT, "special-use"),
        },
        run=_file_into,
    ),
    Signature("redirect", "action", positional=(_TEXT,), options=_COPY, run=_redirect, check=_check_redirect),
    Signature("reject", "action", "reject", (_TEXT,), run=_reject),
    Signature("ereject", "action", "ereject", (_TEXT,), run=_reject),
    *(
        Signature(name, "action", "imap4flags", (_TEXT, _LIST), optional=1, run=_set_flag, check=_check_variable)
        for name in ("setflag", "addflag", "removeflag")
    ),
    Signature(
        "set",
        "action",
        "variables",
        (_TEXT, _TEXT),
        options={name: Option(extension=_EXTENSION_OF.get(name, "")) for name in _MODIFIERS},
        run=_set,
        check=_check_set,
    ),
    Signature("global", "action", "include", (_LIST,), run=_global, check=_check_global),
    Signature("error", "action", "ihave", (_TEXT,), run=_error),
    Signature("addheader", "action", "editheader", (_TEXT, _TEXT), options={"last": Option()}, run=_add_header),
    Signature(
        "deleteheader",
        "action",
        "editheader",
        (_TEXT, _LIST),
        trailing=1,
        options={"index": Option(Kind.NUMBER), "last": Option()},
        matches=True,
        run=_delete_header,
        check=_check_index,
    ),
    Signature(
        "vacation",
        "action",
        "vacation",
        (_TEXT,),
        options={
            "days": Option(Kind.NUMBER, instead_of=("seconds",)),
            "seconds": Option(Kind.NUMBER, "vacation-seconds", instead_of=("days",)),
            "subject": Option(_TEXT),
            "from": Option(_TEXT),
            "addresses": Option(_LIST),
            "mime": Option(),
            "handle": Option(_TEXT),
        },
        run=_vacation,
        check=_check_reason,
    ),
    Signature(
        "notify",
        "action",
        "enotify",
        (_TEXT,),
        options={
            "from": Option(_TEXT),
            "importance": Option(_TEXT),
            "options": Option(_LIST),
            "message": Option(_TEXT),
        },
        run=_notify,
    ),
)
"""Every action of the language."""
