"""
Every way to lose a connection, on real sockets: a client's work played whole, then once for each octet.

The octets are those that the two programs exchange, decoded where they go inside TLS.  One server is used for all of it, so a
client that logs in finds what the runs before have left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from launcelot.testing.cuts import Cut, Kind, Table, Way
from launcelot.testing.faulting import family_of
from launcelot.testing.faults import Fault, Talk
from launcelot.testing.transcript import CLIENT, SERVER, Transcript
from launcelot.testing.verdicts import judged

if TYPE_CHECKING:
    from launcelot.testing.served import Served

SIDES = {Way.TO_SERVER: CLIENT, Way.TO_CLIENT: SERVER}

Run = Callable[[], object]


class EveryCut:
    """
    Plays a client's work.

    :param name: of the listener whose connections are cut.
    :param run: does the work; what it raises says that it knows that it failed.
    """

    def __init__(self, served: Served, name: str, run: Run) -> None:
        self._served = served
        self._name = name
        self._run = run

    def play(self, kinds: Sequence[Kind], ways: Sequence[Way], step: int = 1) -> Table:
        """Whole, which must succeed, and then with every cut."""
        served = self._served
        served.arrived()
        before = {one.number for one in served.transcripts}
        whole = self._outcome(self._run(), served.arrived(), True)
        fresh = [one for one in served.transcripts if one.number not in before]
        family = [one for one in fresh if family_of(one.service) == family_of(self._name)]
        recorded = [(connection, one) for connection, one in enumerate(family, 1) if one.service == self._name]
        if not recorded:
            raise LookupError(f"nobody has connected to {self._name}")
        outcomes = []
        for way in ways:
            for kind in kinds:
                for octets, (connection, at) in list(enumerate(_places(recorded, way)))[::step]:
                    outcomes.append((Cut(way, octets, kind), self._cut(way, kind, connection, at)))
        said = {way: b"".join(one.octets(SIDES[way]) for _, one in recorded) for way in ways}
        return Table(whole, outcomes, said)

    def _outcome(self, said: object, stored: int, done: bool) -> str:
        return judged(done, stored) if said is None else str(said)

    def _cut(self, way: Way, kind: Kind, connection: int, octets: int) -> str:
        """What comes of one cut."""
        served = self._served
        number = served.connections(family_of(self._name)) + connection
        talk = Talk(self._name)
        point = (talk.hearing if way is Way.TO_SERVER else talk.saying).after(octets).on(number)
        fault: Fault = {Kind.FIN: point.disconnects, Kind.RST: point.resets, Kind.STALL: point.stalls}[kind]()
        armed = served.fault(fault.times(1))
        said: object = None
        done = False
        try:
            said = self._run()
            done = True
        except AssertionError as error:
            raise AssertionError(f"{Cut(way, octets, kind)}: {error}") from error
        except Exception:  # noqa: BLE001 - whatever a client raises is its way to say that it failed
            pass
        finally:
            served.disarm(armed)
        outcome = self._outcome(said, served.arrived(), done)
        return outcome if armed.struck else f"{outcome} (it was not cut)"


def _places(recorded: Sequence[tuple[int, Transcript]], way: Way) -> Iterator[tuple[int, int]]:
    """Each octet that one side said: on which connection, and behind how many others there."""
    for connection, transcript in recorded:
        for octets in range(len(transcript.octets(SIDES[way]))):
            yield connection, octets
