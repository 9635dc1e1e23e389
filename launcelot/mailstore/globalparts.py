"""
Bringing mail files in which ``message/global`` was a leaf to today's reading, in which it is a message.

Few messages have such a part.  Their structure and table of parts are made anew; if there are any the text index is emptied,
because their text has changed, to be made anew when the file is quiet.
"""

from __future__ import annotations

import sqlite3

from launcelot.mailstore.refolding import empty_index
from launcelot.message.analysis import analyse
from launcelot.message.globalform import MARK


def open_globals(connection: sqlite3.Connection, chunk_bits: int) -> None:
    """
    Write structures and tables anew where there is such a part; part of a migration, so all or nothing.

    :param chunk_bits: low bits of a chunk's number that count the chunks of one message.
    """
    found = connection.execute("SELECT number FROM contents WHERE instr(body, ?)", (MARK,)).fetchall()
    for (number,) in found:
        pieces = connection.execute(
            "SELECT octets FROM chunks WHERE number BETWEEN ? AND ? ORDER BY number",
            (number << chunk_bits, (number + 1 << chunk_bits) - 1),
        )
        read = analyse(b"".join([piece for (piece,) in pieces]))
        connection.execute(
            "UPDATE contents SET body = ?, body_structure = ?, parts = ? WHERE number = ?",
            (read.body, read.body_structure, read.parts, number),
        )
    if found:
        empty_index(connection)
