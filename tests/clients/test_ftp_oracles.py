"""What our FTP server says and lists beside vsftpd and pyftpdlib: the same, or for a reason that stands here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.fileservers import FileServer
from tests.clients.ftporacle import FIXED, FOLDERS, TREE, Answer, Talk, all_servers, fields

LOG_IN = (
    "PWD", "PASS x", "RNTO x", "USER nobody", "PASS wrong", "PASS wrong", "STAT", "SYST", "NOOP", "FEAT", "XYZ", "LIST",
    "ABOR", "QUIT",
)  # fmt: skip
"""Before somebody has logged in."""

NO_DATA = ("ABOR", "RETR small/one.txt", "LIST", "NLST", "NOOP", "QUIT")
"""Another, in which neither PASV nor PORT was said."""

SCRIPT = (
    # folders
    "PWD", "CWD small", "PWD", "CDUP", "XCWD small", "XPWD", "XCUP", "CWD nowhere", "CWD small/one.txt", "CWD ../t",
    "CWD /t/../t", 'MKD a "b" c', 'CWD a "b" c', "PWD", 'MKD "', "RMD \"", "CDUP", 'RMD a "b" c', "CWD odd/..", "CWD /t",
    "MKD new", "MKD new", "MKD new/sub", "MKD no/where", "RMD new", "RMD new/sub", "XMKD new/x", "XRMD new/x", "RMD new",
    "RMD new", "RMD small/one.txt", "MKD", "RMD", "CWD", "CWD /t",
    # names
    "RNFR nothing", "RNTO x", "RNFR small/one.txt", "RNTO small/1.txt", "RNTO y", "RNFR small/1.txt", "NOOP",
    "RNTO small/one.txt", "RNFR small/1.txt", "RNTO small/one.txt", "RNFR small/one.txt", "RNTO nowhere/x", "RNFR", "RNTO",
    "DELE nothing", "DELE small", "DELE",
    # how
    "TYPE I", "TYPE A", "TYPE A N", "TYPE L 8", "TYPE E", "TYPE X", "TYPE", "TYPE I", "MODE S", "MODE B", "MODE X",
    "STRU F", "STRU R", "STRU X", "ALLO 100", "REST 0", "REST x", "REST -1", "ACCT x", "SMNT /",
    # facts
    "SIZE small/one.txt", "SIZE small", "SIZE nothing", "MDTM small/old.txt", "MDTM nothing", "MDTM small", "SIZE", "MDTM",
    "STAT small", "STAT small/one.txt", "STAT nothing", "STAT", "HELP", "HELP NOOP", "HELP XYZ", "SYST", "NOOP", "FEAT",
    "OPTS UTF8 ON", "OPTS XYZ",
    # data connections
    "PORT 1,2,3", "PORT 127,0,0,1,0,20", "PORT 192,0,2,1,8,0", "PORT 256,0,0,1,8,0", "EPRT x", "EPRT |1|127.0.0.1|20|",
    "EPRT |1|192.0.2.1|2048|", "EPRT |3|127.0.0.1|2048|", "EPSV 7", "EPSV x", "PASV", "EPSV", "EPSV 1", "ABOR", "ABOR",
    # what is no command
    "XYZ", "123", "PWD x", "CDUP x", "SITE", "SITE XYZ", "PBSZ 0", "PROT P", "AUTH XYZ", "LPRT 1", "LANG",
    # the end
    "EPSV ALL", "PASV", "PORT 127,0,0,1,8,0", "EPSV", "QUIT",
)  # fmt: skip
"""One session, without transfers."""

Step = tuple[str, Callable[[Talk], Sequence[int]]]


def moved(line: str, sent: bytes | None = None, before: Sequence[str] = (), how: str = "passive") -> Step:
    """A transfer."""

    def run(talk: Talk) -> Sequence[int]:
        talk.all(before)
        return talk.move(line, sent, how).codes

    return " ".join((*before, line, "" if how == "passive" else f"({how})")).strip(), run


TRANSFERS: Sequence[Step] = (
    moved("LIST"),
    moved("LIST empty"),
    moved("LIST nothing"),
    moved("LIST small/one.txt"),
    moved("LIST -la small"),
    moved("LIST small/*.txt"),
    moved("NLST"),
    moved("NLST empty"),
    moved("NLST nothing"),
    moved("NLST small/one.txt"),
    moved("NLST", how="PORT"),
    moved("NLST", how="EPRT"),
    moved("RETR small/one.txt"),
    moved("RETR small/one.txt", how="PORT"),
    moved("RETR small/one.txt", before=("REST 2",)),
    moved("RETR small/one.txt", before=("REST 3",)),
    moved("RETR small/one.txt", before=("REST 4",)),
    moved("RETR small"),
    moved("RETR nothing"),
    moved("RETR small/one.txt", before=("TYPE A",)),
    moved("STOR up", b"12345", before=("TYPE I",)),
    moved("STOR up", b"67", before=("REST 3",)),
    moved("STOR up", b"x", before=("REST 100",)),
    moved("STOR up", b"12345"),
    moved("STOR up", b"", how="PORT"),
    moved("APPE up", b"678"),
    moved("APPE fresh", b"1"),
    moved("APPE small", b"1"),
    moved("STOR small", b"1"),
    moved("STOR nowhere/x", b"1"),
    moved("STOU", b"1"),
    moved("STOU up", b"1"),
    moved("MLSD small"),
    moved("MLSD small/one.txt"),
    moved("MLSD nothing"),
    ("RETR, ABOR", lambda talk: talk.aborted("RETR big")),
    ("DELE up", lambda talk: talk.say("DELE up").codes),
    ("DELE fresh", lambda talk: talk.say("DELE fresh").codes),
)

REASONS = {
    ("log-in: USER nobody", "vsftpd"): "it takes the anonymous user alone, and says so at once; we never tell who is here",
    ("log-in: STAT", "vsftpd"): "RFC 959 section 4.1.3 has STAT tell of the session, of which there is something to tell",
    ("log-in: SYST", "vsftpd"): "section 5.4 has no 530 for SYST; clients ask it before they log in",
    ("log-in: NOOP", "vsftpd"): "section 5.4 has no 530 for NOOP",
    ("REST x #1", "vsftpd"): "not a number: 501 as section 5.4 has it; a client that believes 350 writes over what it has",
    ("REST -1 #1", "vsftpd"): "likewise",
    ("STAT nothing #1", "vsftpd"): "it tells of no files; that there is none is an error",
    ("HELP XYZ #1", "vsftpd"): "it lists all verbs, whatever is asked; 502 is among the replies of HELP",
    ("PWD x #1", "vsftpd"): "an argument where there is none: 501",
    ("CDUP x #1", "vsftpd"): "likewise",
    ("LANG #1", "vsftpd"): "RFC 2640, which it has not",
    ("transfer: LIST nothing", "vsftpd"): "an empty listing of what is not there has mirrors delete; see replies.py",
    ("transfer: NLST nothing", "vsftpd"): "likewise",
    ("transfer: REST 4 RETR small/one.txt", "vsftpd"): "past the end; what is sent is not the rest of that file",
    ("transfer: REST 100 STOR up", "vsftpd"): "past the end; it would leave a hole in the file",
    ("transfer: MLSD small", "vsftpd"): "RFC 3659, of which it has SIZE, MDTM and REST",
    ("CWD #1", "pyftpdlib"): "without an argument it goes to the root; section 5.3.1 wants one",
    ("TYPE A N #1", "pyftpdlib"): "the same as TYPE A: section 3.1.1.5.1 has N as the default",
    ("LANG #1", "pyftpdlib"): "RFC 2640, which it has not",
    ("no data: RETR small/one.txt", "pyftpdlib"): "it says 150 and waits for a PASV to come, which may come first",
    ("no data: LIST", "pyftpdlib"): "likewise",
    ("no data: NLST", "pyftpdlib"): "likewise",
    ("transfer: LIST -la small", "pyftpdlib"): "clients send options as to ls; we pass over them, as vsftpd obeys them",
    ("transfer: LIST small/*.txt", "pyftpdlib"): "clients expand patterns with NLST and LIST, as vsftpd lets them",
}
"""By what is said and to which server: why the first digits of its answer are not ours."""


LISTED = {
    ("vsftpd", "links"): "we count no links of folders: nothing asks for them",
    ("vsftpd", "owner"): "numbers there, a word here: all is the account's",
    ("vsftpd", "group"): "likewise",
    ("vsftpd", "size of folders"): "what a folder takes on the disk is nobody's business; MLSD leaves it out as well",
    ("vsftpd", "day"): "09 there; ls writes a space in front of one digit, and both are read",
    ("pyftpdlib", "links"): "as of vsftpd",
    ("pyftpdlib", "owner"): "names of the machine's users there",
    ("pyftpdlib", "group"): "likewise",
    ("pyftpdlib", "size of folders"): "as of vsftpd",
    ("pyftpdlib", "day"): "as of vsftpd",
    ("pyftpdlib", "future"): "a time of day there; without a year it is read as of last year, so ls writes the year",
    ("pyftpdlib", "almost"): "180 days there; ls and vsftpd have half of 365.2425",
    ("pyftpdlib", "names"): "octets that are no UTF-8 are ?? there, and cannot be asked for again",
    ("pyftpdlib", "prefix"): "names without the folder that was asked for, which RFC 1123 section 4.1.2.7 wants as paths",
}
"""By server and what is another there than here, in LIST and NLST: why."""

ODD_DATES = {"future.txt": "future", "almost.txt": "almost"}


class OracleTests(SynchronousTestCase):
    """Three servers with one tree, started once for each half of it: they take seconds."""

    def setUp(self) -> None:
        self.servers = all_servers()
        for server in self.servers:
            self.addCleanup(server.stop)
        self.wrong: list[object] = []
        self.differences: set[tuple[str, str]] = set()

    def compare(self, said: str, ours: Sequence[int], server: FileServer, theirs: Sequence[int]) -> None:
        """One answer beside another."""
        reason = REASONS.get((said, server.name))
        alike = [code // 100 for code in ours] == [code // 100 for code in theirs]
        if alike == (reason is not None):
            self.wrong.append((said, server.name, tuple(ours), tuple(theirs)))

    def test_replies(self) -> None:
        """The same dialogues with all three."""
        told = {server.name: self.dialogues(server) for server in self.servers}
        ours = told.pop("launcelot")
        for server in self.servers[1:]:
            for (said, code), (_, other) in zip(ours, told[server.name], strict=True):
                self.compare(said, code, server, other)
        self.assertEqual(self.wrong, [])
        self.check_paths_in_quotes()

    def dialogues(self, server: FileServer) -> list[tuple[str, Sequence[int]]]:
        """All of them with one server: what was said, and the codes."""
        talk = Talk(server, login=False)
        found: list[tuple[str, Sequence[int]]] = [("greeting", talk.greeting.codes)]
        found += [(f"log-in: {line}", talk.say(line).codes) for line in LOG_IN]
        talk.close()
        talk = Talk(server)
        found += self.numbered(SCRIPT, [talk.say(line) for line in SCRIPT])
        talk.close()
        talk = Talk(server)
        found += [(f"no data: {line}", talk.say(line).codes) for line in NO_DATA]
        talk.close()
        (server.home / "t" / "big").write_bytes(b"x" * 30_000_000)
        talk = Talk(server)
        found += [(f"transfer: {words}", run(talk)) for words, run in TRANSFERS]
        talk.close()
        return found

    def numbered(self, said: Sequence[str], answers: Sequence[Answer]) -> list[tuple[str, Sequence[int]]]:
        """Each command with how often it has been said, as some are said twice."""
        times = [said[: place + 1].count(line) for place, line in enumerate(said)]
        return [(f"{line} #{count}", answer.codes) for line, count, answer in zip(said, times, answers, strict=True)]

    def test_listings(self) -> None:
        """LIST field by field, NLST name by name, and LIST of one file, of a pattern and in STAT: alike, or with a reason."""
        ours, *others = [self.everything(server) for server in self.servers]
        for server, theirs in zip(self.servers[1:], others, strict=True):
            for folder in (*FOLDERS, "", "small/one.txt"):
                self.compare_lines(server.name, ours[f"LIST {folder}"], theirs[f"LIST {folder}"])
                self.compare_names(server.name, ours[f"NLST {folder}"], theirs[f"NLST {folder}"])
        self.assertEqual(self.differences, set(LISTED))
        self.check_machine_listings()

    def everything(self, server: FileServer) -> dict[str, list[bytes]]:
        """By command, the lines it was answered with."""
        talk = Talk(server)
        found = {}
        for folder in (*FOLDERS, "", "small/one.txt"):
            for verb in ("LIST", "NLST"):
                line = f"{verb} {folder}"
                answer = talk.move(line.strip())
                self.assertEqual(answer.classes, (1, 2), (server.name, line))
                self.assertTrue(answer.data.endswith(b"\r\n") or not answer.data, line)
                found[line] = sorted(answer.listed)
        if server.name == "launcelot":
            self.check_ours(talk, found)
        talk.close()
        return found

    def check_ours(self, talk: Talk, found: dict[str, list[bytes]]) -> None:
        """What needs no other server: names stand in one column, and STAT lists the same."""
        for folder in FOLDERS:
            names = [fields(line)["name"].encode("utf-8", "surrogateescape") for line in found[f"LIST {folder}"]]
            columns = {len(line) - len(name) for line, name in zip(found[f"LIST {folder}"], names, strict=True)}
            self.assertLessEqual(len(columns), 1)
            told = [line.strip(b"\r\n")[1:] for line in talk.say(f"STAT {folder}").lines[1:-1]]
            self.assertEqual(sorted(told), found[f"LIST {folder}"])
        self.assertEqual(len(found["LIST small"]) + len(found["LIST odd"]), len(TREE) + len(FIXED))
        self.assertEqual(sorted(talk.move("LIST small/*.txt").listed), [one for one in found["LIST small"] if b".txt" in one])

    def compare_lines(self, server: str, ours: list[bytes], theirs: list[bytes]) -> None:
        """Two listings, line by line, in the order of their names."""
        here = sorted((fields(line) for line in ours), key=lambda one: one["name"])
        there = sorted((fields(line) for line in theirs), key=lambda one: one["name"])
        self.assertEqual(len(here), len(there), server)
        if [one["name"] for one in here] != [one["name"] for one in there]:
            self.differences.add((server, "names"))
            both = {one["name"] for one in here} & {one["name"] for one in there}
            here, there = ([one for one in rows if one["name"] in both] for rows in (here, there))
        for mine, other in zip(here, there, strict=True):
            for column in mine:
                if mine[column] != other[column]:
                    self.differences.add((server, self.word_for(column, mine)))
            self.assertEqual(int(mine["day"]), int(other["day"]), mine["name"])

    def word_for(self, column: str, row: dict[str, str]) -> str:
        """What a difference is called in :data:`LISTED`."""
        if column == "size" and row["kind"] == "d":
            return "size of folders"
        return ODD_DATES.get(row["name"], "date") if column == "last" else column

    def compare_names(self, server: str, ours: list[bytes], theirs: list[bytes]) -> None:
        """Two lists of names."""
        if ours == theirs:
            return
        bare = sorted(name.rpartition(b"/")[2] for name in ours)
        self.assertEqual(len(bare), len(theirs), server)
        self.differences.add((server, "prefix" if any(b"/" in name for name in ours) else "names"))
        self.assertTrue(set(bare) - set(theirs) <= {b"\xe4\xff"}, (server, bare, theirs))

    def check_machine_listings(self) -> None:
        """MLSD and MLST beside pyftpdlib's: the same type, size and time of everything, and the same right to change it."""
        ours, theirs = ([Talk(server) for server in self.servers if server.name in ("launcelot", "pyftpdlib")])
        for folder in FOLDERS:
            here, there = (self.facts_of(talk.move(f"MLSD {folder}").listed) for talk in (ours, theirs))
            self.assertEqual(set(here) - {b"\xe4\xff"}, set(there) - {b"??"})
            for name in here.keys() & there.keys():
                mine, other = here[name], there[name]
                if mine["type"] == "dir":
                    self.assertLessEqual(set("cdelmp"), set(mine["perm"]) & set(other["perm"].replace("M", "")) | set("c"))
                else:
                    self.assertEqual(mine["size"], other["size"], name)
                    self.assertLessEqual(set(mine["perm"]), set(other["perm"]), name)
                self.assertEqual((mine["type"], mine["modify"]), (other["type"], other["modify"]), name)
        for talk in (ours, theirs):
            answer = talk.say("MLST small/one.txt")
            self.assertEqual((answer.codes, len(answer.lines)), ((250,), 3))
            self.assertTrue(answer.lines[1].startswith(b" ") and answer.lines[1].endswith(b"one.txt\r\n"))
            talk.close()

    def facts_of(self, lines: list[bytes]) -> dict[bytes, dict[str, str]]:
        """By name, facts in lower case; the names of a folder itself left out."""
        found = {}
        for line in lines:
            head, _, name = line.partition(b" ")
            facts = dict(fact.split("=", 1) for fact in head.decode().lower().split(";")[:-1])
            if facts["type"] in ("dir", "file"):
                found[name] = facts
        return found

    def check_paths_in_quotes(self) -> None:
        """257 of MKD and PWD doubles quotes, and a path that is taken from it is right in the next command; of all three."""
        for server in self.servers:
            talk = Talk(server)
            for name in ('a "b" c', '"', 'x""', " y "):
                made = talk.say(f"MKD {name}")
                gone = talk.say(f"CWD {name}")
                told = talk.say("PWD")
                quoted = ('"/t/' + name.replace('"', '""') + '"').encode()
                self.assertEqual((made.codes, gone.codes, told.codes), ((257,), (250,), (257,)), (server.name, name))
                self.assertTrue(made.lines[0].startswith(quoted), (server.name, made))
                self.assertTrue(told.lines[0].startswith(quoted), (server.name, told))
                talk.all(["CDUP", f"RMD {name}"])
            talk.close()
