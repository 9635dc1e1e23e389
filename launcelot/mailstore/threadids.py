"""
THREADID: which messages of an account belong together, for good.  RFC 8474 section 5.2.

Two messages belong together when their base subjects are the same (RFC 5256 section 2.1) and an id stands in both, be it the
message's own or one of those that it answers: the rule of RFC 8621 section 3.  It holds across mailboxes, whether or not the
message that was answered is there.

Nobody may ever be told of another thread, so messages are put into threads in the order in which they came, and threads are
never joined: a message that belongs to several goes into that of the nearest message it answers.  A thread is called after its
first message.  What is left of a thread keeps its name; when all of it has gone, it is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b

MOST = 50
"""Ids of one message that are looked at: the first, and the last of the others."""


def keys_of(base_subject: str, message_id: str | None, references: Sequence[str]) -> Sequence[int]:
    """
    What a message has in common with others of its thread: numbers of 63 bits, the nearest first, its own last.

    :param references: ids in the order of ``References``: the message that is answered comes last.
    """
    nearest = [*reversed(references[1:][-MOST:]), *references[:1]]
    own = [] if message_id is None else [message_id]
    subject = base_subject.encode("utf-8", "surrogatepass") + b"\0"
    return [_number(subject + one.encode("utf-8", "surrogatepass")) for one in dict.fromkeys([*nearest, *own])]


def _number(octets: bytes) -> int:
    return int.from_bytes(blake2b(octets, digest_size=8).digest(), "big") >> 1


def named_after(email_id: str) -> str:
    """The name of a thread that begins with a message; never an EMAILID.  RFC 8474 section 5.2."""
    return "T" + email_id[1:]


class Threads:
    """
    The threads of one account in memory, as :mod:`launcelot.mailstore.sqlthreadids` keeps them in a file.

    :ivar known: thread by EMAILID, of messages that have been put into one.
    """

    def __init__(self) -> None:
        self.known: dict[str, str] = {}
        self._by_key: dict[int, str] = {}

    def extend(self, messages: Iterable[tuple[str, Sequence[int]]]) -> None:
        """
        Put the new among all messages there are into threads, and forget those that have gone.

        :param messages: EMAILID and keys, in the order in which they came.
        """
        present = dict(messages)
        self.known = {id: thread for id, thread in self.known.items() if id in present}
        alive = set(self.known.values())
        self._by_key = {key: thread for key, thread in self._by_key.items() if thread in alive}
        for id, keys in present.items():
            if id not in self.known:
                near = next((self._by_key[key] for key in keys if key in self._by_key), "")
                thread = self.known[id] = near or named_after(id)
                for key in keys:
                    self._by_key.setdefault(key, thread)
