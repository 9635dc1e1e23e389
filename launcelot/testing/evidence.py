"""
What a failure tells: what did arrive and how it differs, who was refused, who is connected and stuck where, and where it lies.

Everything is read from transcripts, so it is what the two programs said, inside TLS too.  No Twisted here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from launcelot.testing.matching import fits
from launcelot.testing.messages import Message, Wish
from launcelot.testing.transcript import CLIENT, EVENT, SERVER, Transcript, shown

MOST_LISTED = 20
"""Messages, refusals and connections that a failure lists."""

LAST = 80
"""Octets that it shows of one line."""

LINES = 3
"""Lines that it shows of a conversation's end."""

NEAR = 2
"""Letters by which a text differs that is told to be nearly right."""

END_OF_TEXT = b"\r\n.\r\n"


def nearness(wish: Wish, message: Message) -> str:
    """How a message differs from the one that is waited for."""
    wrong = [
        (name, wanted, there)
        for name, wanted, there, fold in (
            ("recipient", wish.to, message.to, True),
            ("sender", wish.sender, message.sender, True),
            ("subject", wish.subject, message.subject, False),
            ("text", wish.text, message.text, False),
        )
        if not fits(wanted, there, fold)
    ]
    if len(wrong) != 1:
        return f"{' and '.join(name for name, _, _ in wrong)} differ" if wrong else "fits"
    name, wanted, there = wrong[0]
    if not isinstance(wanted, str):
        return f"{name} does not fit"
    letters = distance(wanted, there)
    if there and wanted.casefold() == there.casefold():
        return f"{name} differs in case"
    if there and wanted.strip() == there.strip():
        return f"{name} differs in space at its ends"
    return f"{name} differs by {_letters(letters)}" if letters <= NEAR else f"{name} differs"


def _letters(count: int) -> str:
    return "one letter" if count == 1 else f"{count} letters"


def distance(one: str, other: str) -> int:
    """Letters to change, add or leave out that make a text the other; more than :data:`NEAR` for all that are further."""
    if abs(len(one) - len(other)) > NEAR or max(len(one), len(other)) > 1_000:
        return NEAR + 1
    row = list(range(len(other) + 1))
    for at, letter in enumerate(one, 1):
        before, row[0] = row[0], at
        for place, there in enumerate(other, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (letter != there))
    return row[-1]


def refusals(transcripts: Sequence[Transcript]) -> Iterator[str]:
    """Commands that servers of mail have refused, with the connection they came on."""
    for transcript in transcripts:
        asked = ""
        for line in transcript.lines():
            if line.startswith(CLIENT):
                asked = line[3:]
            elif line.startswith(f"{SERVER}: ") and line[3:4] in ("4", "5") and line[3:6].isdigit() and line[6:7] == " ":
                yield f"{_name(transcript)}: {asked[:LAST]!r} was answered {line[3:][:LAST]!r}"


def standing(transcript: Transcript, age: float) -> str:
    """
    Where a connection that is open stands.

    :param age: seconds since it was made.
    """
    turns = list(transcript.turns())
    if not turns:
        return f"nothing was said for {age:.2f} s"
    who, octets, at = turns[-1]
    still = age - at
    if who == EVENT:
        return f"{octets.decode('utf-8', 'replace')}, {still:.2f} s ago"
    if who == SERVER:
        if _asks(octets):
            return f"was told to go on {still:.2f} s ago, and has said nothing since"
        return f"has said nothing since the answer {still:.2f} s ago"
    before = next((said for turn, said, _ in reversed(turns[:-1]) if turn == SERVER), b"")
    if before.rpartition(b"\r\n")[0].rpartition(b"\n")[2].startswith(b"354"):
        if (b"\r\n" + octets).endswith(END_OF_TEXT):
            return f"waits {still:.2f} s for the answer to its message"
        return f"in DATA for {still:.2f} s, {len(octets):,} octets of it, waits for <CRLF>.<CRLF>"
    if _asks(before):
        return f"has sent {len(octets):,} octets of what was asked for, the last {still:.2f} s ago"
    if not octets.endswith(b"\n"):
        _, _, part = octets.rpartition(b"\n")
        return f"in the middle of a line for {still:.2f} s: {shown(part[-LAST:], True)}"
    return f"waits {still:.2f} s for the answer to {shown(octets.splitlines()[-1][:LAST], True)!r}"


def _asks(said: bytes) -> bool:
    """Whether a server has said that it wants more."""
    last = said.rpartition(b"\r\n")[0].rpartition(b"\n")[2]
    return last[:3] in (b"354", b"334") or last.startswith(b"+ ")


def ending(transcript: Transcript) -> str:
    """The last lines of a conversation, in one."""
    lines = list(transcript.lines())[-LINES:]
    return " | ".join(line if len(line) <= LAST else f"{line[:LAST]}..." for line in lines)


class Keep:
    """
    Keeps transcripts in files, for those who look into a failure.

    :param folder: makes the folder, when it is first needed.
    """

    def __init__(self, folder: Callable[[], Path] | None = None) -> None:
        self._make = folder or (lambda: Path(tempfile.mkdtemp(prefix="launcelot-wire-")))
        self._folder: Path | None = None

    def write(self, transcripts: Sequence[Transcript]) -> Path:
        """
        Write each into a file of its own, such as ``smtp-2.wire``; the folder.

        :raises OSError: it cannot be written.
        """
        if self._folder is None:
            self._folder = self._make()
        for one in transcripts:
            name = f"{one.service.replace(' ', '-')}-{one.number}.wire"
            (self._folder / name).write_text(one.text, encoding="utf-8")
        return self._folder


def _name(transcript: Transcript) -> str:
    return f"{transcript.service} #{transcript.number}"


def evidence(
    wish: Wish,
    arrived: Sequence[Message],
    transcripts: Sequence[Transcript],
    still: Sequence[tuple[Transcript, float]],
    keep: Keep,
) -> Sequence[str]:
    """
    All of it, line by line.

    :param still: the connections that are open, and their age in seconds.
    """
    lines = [f"  arrived: {len(arrived)}"]
    for message in arrived[:MOST_LISTED]:
        lines.append(f"    {message.at:.2f} s  to={message.to!r} subject={message.subject!r}  <- {nearness(wish, message)}")
    refused = list(refusals(transcripts))
    if refused:
        lines.append(f"  refused: {len(refused)}")
        lines += [f"    {one}" for one in refused[-MOST_LISTED:]]
    lines.append(f"  open: {len(still)}")
    for transcript, age in still[:MOST_LISTED]:
        lines.append(f"    {_name(transcript)} from {transcript.peer}, {standing(transcript, age)}")
        lines.append(f"      wire: {ending(transcript)}")
    if transcripts:
        try:
            lines.append(f"  all that was said: {keep.write(transcripts)}")
        except OSError as error:
            lines.append(f"  what was said cannot be written: {error}")
    return lines
