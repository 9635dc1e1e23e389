"""
The twistd plugin of a guest's service, in one line of the guest's ``twisted/plugins/..._plugin.py``::

    guestbook = GuestMaker("guestbook", "Notes for whoever comes next.")

It serves that one service with accounts, TLS, data folder and all else as the house's own plugins do.  The guest's package
is imported when the plugin is chosen, so a guest with a fault does not harm ``twistd --help`` or anybody else's plugin.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import IService, IServiceMaker
from twisted.plugin import IPlugin
from twisted.python import usage
from zope.interface import implementer


@implementer(IPlugin, IServiceMaker)
class GuestMaker:
    """
    What twistd looks for.

    :param service: the service's name, as in the guest's entry point.
    :param description: one line for ``twistd --help``.
    :param tapname: what it is called there; ``launcelot-`` and the service's name unless given.
    """

    def __init__(self, service: str, description: str, tapname: str = "") -> None:
        self.service = service
        self.description = description
        self.tapname = tapname or f"launcelot-{service}"

    @property
    def options(self) -> Callable[[], usage.Options]:
        """The options class; where the guest cannot be used the program ends with one line."""
        options: Callable[[], usage.Options] = self._maker().Options
        return options

    def makeService(self, options: Any) -> IService:
        """Build the daemon; nothing is opened, made or bound yet."""
        service: IService = self._maker().makeService(options)
        return service

    def _maker(self) -> Any:
        from launcelot.app.tap import Maker

        return Maker(self.tapname, (self.service,))
