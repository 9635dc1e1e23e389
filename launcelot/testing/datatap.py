"""Faults on the data connections of FTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from launcelot.testing.faults import BREAKS, Act, Fault, Stage
from launcelot.testing.outlet import Outlet
from launcelot.testing.transcript import CLIENT, Transcript

if TYPE_CHECKING:
    from launcelot.testing.faulting import FaultyTap, FaultyTaps


class DataTap(Outlet):
    """
    One data connection of FTP.

    :param control: of its control connection, whose command it is about.
    """

    def __init__(self, taps: FaultyTaps, protocol: Any, transcript: Transcript, control: FaultyTap) -> None:
        super().__init__(taps, protocol, transcript)
        self._control = control
        self._fault: Fault | None = None
        self._asked = False
        self._passed = 0

    def _about(self) -> Fault | None:
        """The fault, looked for when the first octet comes by."""
        if not self._asked:
            self._asked = True
            self._fault = self._control.find(Stage.DATA, self._control.follower.verb)
        return self._fault

    def heard(self, data: bytes) -> None:
        """Octets of an upload."""
        self.note(CLIENT, data)
        fault = self._about()
        if fault is None or fault.act not in BREAKS:
            self.hand_on(data)
            return
        passes = self._let(len(data), fault)
        if passes and not self.stuck:
            self.hand_on(data[:passes])
        if passes < len(data) and not self.stuck:
            self.break_off(fault.act, fault.number)

    def saying(self, data: bytes) -> None:
        """Octets of a download or a listing."""
        fault = self._about()
        if fault is None:
            self.out(data)
        elif fault.act is Act.DRIPS:
            self.drip(data, fault.number)
        elif fault.act is Act.DELAYS:
            self.out(data, 0.0 if self._passed else fault.number)
            self._passed = 1
        else:
            passes = self._let(len(data), fault)
            self.out(data[:passes])
            if passes < len(data) and not self.stuck:
                self.break_off(fault.act, fault.number)

    def _let(self, octets: int, fault: Fault) -> int:
        passes = min(octets, max(0, fault.point.octets - self._passed))
        self._passed += passes
        return passes

    def half_closed(self) -> None:
        """Not told where nothing moves any more."""
        if not self.stuck:
            super().half_closed()
