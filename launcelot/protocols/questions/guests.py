"""
Guests: answers from somebody else's code, named in the settings, kept from doing harm.

``answerer = "package.module:object"`` names a function ``answer(question)``, plain or ``async``, or an object that has one; see
:class:`launcelot.protocols.questions.answers.Answering`.  Whatever it raises becomes an answer, and the connection stays: a bug
is logged with its traceback and counted, a refusal is told, and an answer that takes too long is given up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from launcelot.core.counters import Counters
from launcelot.core.errors import Refusal, TryLater
from launcelot.core.settings import BadSetting
from launcelot.protocols.questions.grammar import FULL_STOP, sentence
from launcelot.protocols.questions.session import INTERNAL

log = Logger(namespace="launcelot.questions")

Answer = Callable[[bytes], bytes | Awaitable[bytes]]


class Guest:
    """
    A guest's function behind a fence.

    :param name: as in the settings, for the log.
    :param answer: the function.
    :param limit: seconds an answer may take.
    """

    def __init__(self, name: str, answer: Answer, counters: Counters, clock: IReactorTime, limit: float) -> None:
        self._name = name
        self._answer = answer
        self._counters = counters
        self._clock = clock
        self._limit = limit

    async def answer(self, question: bytes) -> bytes:
        """
        The guest's answer, or an error in its place.

        :raises Refusal: the guest refuses, or takes too long.
        """
        try:
            answer = self._answer(question)
            if not isinstance(answer, bytes):
                waiting = Deferred.fromCoroutine(_wait(answer))
                answer = await waiting.addTimeout(self._limit, self._clock)
            return sentence(answer, FULL_STOP)
        except (Refusal, CancelledError):
            raise
        except TimeoutError:
            self._counters.add("questions.guest.late")
            raise TryLater("no answer in time") from None
        except Exception:  # noqa: BLE001 - the fence: code that is not ours may raise anything
            self._counters.add("questions.guest.errors")
            log.failure("the answerer {name} failed at {question!r}", name=self._name, question=question[:80])
            return INTERNAL


async def _wait(answer: Awaitable[bytes]) -> bytes:
    return await answer


def find(name: str) -> Answer:
    """
    The function that a name means, imported now.

    :param name: ``"package.module:object"``; the object may be reached through others by dots.
    :raises BadSetting: there is none; the text is one line with cause and remedy.
    """
    module, _, path = name.partition(":")
    if not module or not path:
        raise BadSetting(f"{name!r} is not an object's name such as 'package.module:object'")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        cause = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise BadSetting(f"{name!r} cannot be imported: {cause}; check the name and PYTHONPATH") from error
    if isinstance(found, type):
        raise BadSetting(f"{name!r} is a class; name an object or a function")
    answer = getattr(found, "answer", found)
    if not callable(answer):
        raise BadSetting(f"{name!r} is no function and has no method answer(question)")
    return answer  # type: ignore[no-any-return]


def check_answerer(name: str) -> None:
    """
    Whether a name means an answerer; nobody is one, too.

    :raises BadSetting: it does not.
    """
    if name:
        find(name)
