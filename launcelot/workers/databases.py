"""
The SQLite files of services that keep data of their own, one for each name.

A service asks for its file when it is built, and gets the same object whenever it asks again, so that one which is built
anew on a reload goes on with what it had.  The daemon opens the files before it lets anybody in and closes them with its
stores; services do neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from launcelot.core.errors import TryLater
from launcelot.workers.database import Database, Migration
from launcelot.workers.interface import Workers

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")


class Databases:
    """
    The files in one folder.

    :param folder: made with mode 0700 when the first file is opened.
    :param writer: where writing runs.  Not owned, nor are the readers.
    :param readers: where long reads run.
    """

    def __init__(self, folder: Path, writer: Workers, readers: Workers) -> None:
        self._folder = folder
        self._writer = writer
        self._readers = readers
        self._files: dict[str, Database] = {}

    def get(self, name: str, migrations: Sequence[Migration]) -> Database:
        """
        The file of a name.

        :param name: the service's, such as ``"guestbook"``: lower-case letters, digits, ``-`` and ``_``.
        :param migrations: as for :class:`~launcelot.workers.database.Database`; those of the first call count.
        :raises ValueError: the name cannot be a file's.
        """
        if not _NAME.match(name):
            raise ValueError(f"{name!r} cannot be the name of a database")
        if name not in self._files:
            self._files[name] = Database(self._folder / f"{name}.sqlite", migrations, self._writer, self._readers)
        return self._files[name]

    async def open(self) -> None:
        """
        Open every file that has been asked for and bring its schema up to date; those that are open stay as they are.

        :raises Refusal: one cannot be opened, or was written by a newer program.
        """
        if self._files:
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise TryLater(f"{self._folder} cannot be made: {error.strerror}") from error
        for database in list(self._files.values()):
            await database.open()

    async def close(self) -> None:
        """Finish what is being written and close the files."""
        for database in self._files.values():
            await database.close()
