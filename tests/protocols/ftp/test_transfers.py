"""Transfers in memory: order of replies, ends of every kind, theft, stalls."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.filestore.interface import Upload
from launcelot.filestore.limits import StorageFull
from launcelot.filestore.memory import MemoryUpload
from launcelot.protocols.ftp.data import READ_AHEAD
from tests.protocols.ftp.kit import Peer


def codes(replies: bytes) -> list[int]:
    """The codes of one-line replies."""
    return [int(line[:3]) for line in replies.splitlines()]


class FileTests(SynchronousTestCase):
    """RETR, STOR and their kin."""

    def test_stored_file_comes_back(self) -> None:
        """Every octet comes back, at each size around the pieces, in either passive mode."""
        peer = Peer()
        for size in (0, 1, 49_151, 49_152, 49_153, 245_760, 262_145, 1_000_000):
            data = (bytes(range(251)) * (size // 251 + 1))[:size]
            self.assertEqual(codes(peer.send("STOR f", data)), [150, 226])
            heard, replies = peer.fetch("RETR f")
            self.assertEqual(heard, data)
            self.assertIn(b"(%d bytes)" % size, replies)

    def test_type_a_both_ways(self) -> None:
        """Text has LF in the store and CRLF on the wire, octet by octet too, and no size is told.  F08."""
        peer = Peer()
        peer.do("TYPE A")
        self.assertEqual(codes(peer.send("STOR t", b"one\r\ntwo\r\nbare\rcr", chunk=1)), [150, 226])
        self.assertEqual(peer.content("t"), b"one\ntwo\nbare\rcr")
        heard, replies = peer.fetch("RETR t")
        self.assertEqual(heard, b"one\r\ntwo\r\nbare\rcr")
        self.assertNotIn(b"bytes)", replies)

    def test_restart(self) -> None:
        """REST holds for the next transfer, over PASV and TYPE, and no longer; past the end it is 554.  F07."""
        peer = Peer()
        peer.put("f", data=b"0123456789")
        peer.do("REST 4")
        self.assertEqual(peer.fetch("RETR f")[0], b"456789")
        self.assertEqual(peer.fetch("RETR f")[0], b"0123456789")
        peer.do("REST 4", "PWD")
        self.assertEqual(peer.fetch("RETR f")[0], b"0123456789")
        peer.do("REST 10")
        self.assertEqual(peer.fetch("RETR f")[0], b"")
        for offset in ("11", "999999999999999"):
            peer.do(f"REST {offset}")
            self.assertEqual(codes(peer.fetch("RETR f")[1]), [554])
            peer.do(f"REST {offset}")
            self.assertEqual(codes(peer.send("STOR f", b"x")), [554])
        peer.do("REST 4", "TYPE A")
        self.assertEqual(codes(peer.fetch("RETR f")[1]), [554])
        self.assertEqual(peer.content("f"), b"0123456789")

    def test_resumed_upload(self) -> None:
        """REST and STOR continue a file; APPE adds to it and makes it where there is none."""
        peer = Peer()
        peer.put("f", data=b"0123456789")
        peer.do("REST 5")
        peer.send("STOR f", b"abc")
        self.assertEqual(peer.content("f"), b"01234abc")
        peer.send("APPE f", b"def")
        peer.send("APPE g", b"new")
        self.assertEqual((peer.content("f"), peer.content("g")), (b"01234abcdef", b"new"))

    def test_store_unique(self) -> None:
        """STOU says the name in the 150, as RFC 1123 wants it, and in the 226, where Net::FTP looks; it never replaces."""
        peer = Peer()
        first = peer.send("STOU f", b"1")
        second = peer.send("STOU f", b"2")
        self.assertEqual(first, b"150 FILE: f\r\n226 Transfer complete (unique file name: f).\r\n")
        name = second.splitlines()[0].partition(b"FILE: ")[2].decode()
        self.assertEqual((peer.content("f"), peer.content(name)), (b"1", b"2"))
        self.assertEqual(codes(peer.send("STOU", b"3")), [150, 226])
        self.assertEqual(len(peer.names()), 3)

    def test_refusals_before_data(self) -> None:
        """What cannot be done is refused before a data connection is used, and the connection stays usable."""
        peer = Peer()
        peer.put("d", "f", data=b"x")
        for words, expected in (("RETR missing", 550), ("RETR d", 550), ("STOR d", 553), ("STOR no/f", 553), ("STOR /", 553)):
            self.assertEqual(codes(peer.fetch(words)[1]), [expected], words)
        for words in ("LIST missing", "NLST missing", "MLSD missing", "LIST missing/*"):
            self.assertEqual(codes(peer.fetch(words)[1]), [550], words)
        self.assertEqual(codes(peer.fetch("MLSD d/f")[1]), [501])
        self.assertEqual(codes(peer.fetch("NLST")[1]), [150, 226])

    def test_quota(self) -> None:
        """An upload past the quota ends with 552, the old file stays, and room is free again."""
        peer = Peer(quota=10)
        peer.send("STOR f", b"old")
        self.assertEqual(codes(peer.send("STOR f", b"x" * 11)), [150, 552])
        self.assertEqual(peer.content("f"), b"old")
        self.assertEqual(codes(peer.send("STOR g", b"1234567")), [150, 226])


    def test_full_disk(self) -> None:
        """A full disk ends an upload with 452, and the old file stays.  C05."""

        async def full(self: MemoryUpload, data: bytes) -> None:
            raise StorageFull

        peer = Peer()
        peer.put("f", data=b"old")
        self.patch(MemoryUpload, "write", full)
        self.assertEqual(codes(peer.send("STOR f", b"x")), [150, 452])
        self.assertEqual(peer.content("f"), b"old")


class EndTests(SynchronousTestCase):
    """However an upload ends, the target is the old file or the whole new one.  F11."""

    def test_cut_at_every_octet(self) -> None:
        """Reset after any number of octets the upload is answered 426 and the old file stays."""
        new = b"the new file"
        for cut in range(len(new) + 1):
            peer = Peer()
            peer.put("f", data=b"old")
            data = peer.data()
            replies = peer.do("STOR f")
            data.say(new[:cut], chunk=1)
            data.abort()
            self.assertEqual(codes(replies + peer.link.take()), [150, 426])
            self.assertEqual((peer.content("f"), peer.names()), (b"old", ["f"]))

    def test_control_lost_during_upload(self) -> None:
        """If the control connection is reset at any octet of the upload, nothing is published."""
        for cut in range(5):
            peer = Peer()
            data = peer.data()
            peer.do("STOR f")
            data.say(b"data"[:cut])
            peer.link.abort()
            data.flush()
            self.assertEqual(peer.names(), [])
            self.assertIsNot(data.peer.lost, None)
            self.assertEqual(peer.factory.sessions, set())

    def test_published_before_226(self) -> None:
        """When 226 is said the file is there; before, it is not."""
        peer = Peer()
        data = peer.data()
        peer.do("STOR f")
        data.say(b"all of it")
        self.assertEqual((peer.link.take(), peer.names()), (b"", []))
        data.half_close()
        self.assertEqual(codes(peer.link.take()), [226])
        self.assertEqual(peer.content("f"), b"all of it")
        self.assertTrue(data.closed)

    def test_cut_upload_is_continued(self) -> None:
        """After a cut the client goes on where it knows it was, and the file is whole."""
        peer = Peer()
        data = peer.data()
        peer.do("STOR f")
        data.say(b"01234")
        data.abort()
        peer.link.take()
        peer.do("REST 5")
        self.assertEqual(codes(peer.send("STOR f", b"56789")), [150, 226])
        self.assertEqual(peer.content("f"), b"0123456789")

    def test_download_cut_by_the_client(self) -> None:
        """A client that resets a download is told 426 and can go on."""
        peer = Peer()
        peer.put("f", data=b"x" * 2_000_000)
        data = peer.data()
        data.stop_reading()
        replies = peer.do("RETR f")
        data.abort()
        self.assertEqual(codes(replies + peer.link.take()), [150, 426])
        self.assertEqual(len(peer.fetch("RETR f")[0]), 2_000_000)

    def test_half_closed_download(self) -> None:
        """A client that closes its own direction of a download still gets all of it."""
        peer = Peer()
        peer.put("f", data=b"x" * 500_000)
        data = peer.data()
        data.half_close()
        peer.do("RETR f")
        self.assertEqual(len(data.take()), 500_000)

    def test_bug_in_the_store_is_no_226(self) -> None:
        """A bug while storing is logged, answered and closes; nothing is published and nothing of it is told."""
        peer = Peer()

        async def broken(self: Upload, data: bytes) -> None:
            raise RuntimeError("secret path")

        self.patch(MemoryUpload, "write", broken)
        replies = peer.send("STOR f", b"x")
        self.assertEqual(codes(replies), [150, 421])
        self.assertNotIn(b"secret", replies)
        self.assertTrue(peer.link.closed)
        self.assertEqual(peer.names(), [])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class BesideTests(SynchronousTestCase):
    """What the control connection does while a transfer runs."""

    def begin(self, peer: Peer) -> object:
        """A download that the client does not read."""
        peer.put("big", data=b"x" * 2_000_000)
        data = peer.data()
        data.stop_reading()
        self.assertEqual(codes(peer.do("RETR big")), [150])
        return data

    def test_abort(self) -> None:
        """ABOR ends a transfer with 426 and is answered 226; the session goes on.  With Telnet's signals, too."""
        for words in (b"ABOR", b"\xff\xf4\xff\xf2ABOR", b"\xff\xf4\xffABOR"):
            peer = Peer()
            data = self.begin(peer)
            self.assertEqual(codes(peer.do(words)), [426, 226])
            self.assertTrue(data.closed)  # type: ignore[attr-defined]
            self.assertEqual(codes(peer.do("NOOP", "ABOR")), [200, 225])
            self.assertEqual(codes(peer.fetch("NLST")[1]), [150, 226])

    def test_abort_of_an_upload(self) -> None:
        """An aborted upload is not published."""
        peer = Peer()
        peer.put("f", data=b"old")
        data = peer.data()
        peer.do("STOR f")
        data.say(b"new")
        self.assertEqual(codes(peer.do("ABOR")), [426, 226])
        self.assertEqual(peer.content("f"), b"old")

    def test_abort_before_the_data_connection(self) -> None:
        """A transfer that still waits for its connection can be aborted, and a listener without transfer, too."""
        peer = Peer()
        port = peer.passive()
        self.assertEqual(codes(peer.do("NLST", "ABOR")), [150, 426, 226])
        self.assertRaises(ConnectionRefusedError, peer.connect, port)
        peer.passive()
        self.assertEqual(codes(peer.do("ABOR", "NLST")), [226, 425])

    def test_status_and_noop_are_answered_at_once(self) -> None:
        """STAT and NOOP are answered during a transfer; STAT says how far it is."""
        peer = Peer()
        data = self.begin(peer)
        self.assertEqual(codes(peer.do("NOOP")), [200])
        self.assertIn(b"octets so far", peer.do("STAT"))
        data.go_on_reading()  # type: ignore[attr-defined]
        self.assertEqual(codes(peer.link.take()), [226])

    def test_other_commands_wait_in_order(self) -> None:
        """Everything else waits for the transfer's reply, and STAT and NOOP behind it do, too."""
        peer = Peer()
        data = self.begin(peer)
        self.assertEqual(peer.do("PWD", "NOOP", "MKD d", "SYST"), b"")
        data.go_on_reading()  # type: ignore[attr-defined]
        self.assertEqual(codes(peer.link.take()), [226, 257, 200, 257, 215])

    def test_abort_overtakes_waiting_commands_but_not_their_replies(self) -> None:
        """ABOR takes effect at once; its reply keeps its place."""
        peer = Peer()
        self.begin(peer)
        self.assertEqual(codes(peer.do("PWD\r\nABOR")), [426, 257, 226])

    def test_quit_waits_for_the_transfer(self) -> None:
        """QUIT during a transfer is answered when it has ended.  RFC 959 section 4.1.1."""
        peer = Peer()
        data = self.begin(peer)
        self.assertEqual(peer.do("QUIT"), b"")
        data.go_on_reading()  # type: ignore[attr-defined]
        self.assertEqual(codes(peer.link.take()), [226, 221])
        self.assertTrue(peer.link.closed)

    def test_half_closed_control_connection(self) -> None:
        """A client that closes its direction behind QUIT still gets its file and its replies."""
        peer = Peer()
        data = self.begin(peer)
        peer.link.say(b"QUIT\r\n")
        peer.link.half_close()
        data.go_on_reading()  # type: ignore[attr-defined]
        self.assertEqual(codes(peer.link.take()), [226, 221])
        self.assertEqual(len(data.take()), 2_000_000)  # type: ignore[attr-defined]

    def test_flood_during_a_transfer_is_bounded(self) -> None:
        """A client that sends commands without end during a transfer is not read past a bound."""
        peer = Peer()
        self.begin(peer)
        peer.link.say(b"PWD\r\n" * 200_000)
        server = peer.link.server
        self.assertLessEqual(len(server._queue), 32)
        self.assertLessEqual(server.pending, 200_000)

    def test_idle_deadline_does_not_count_transfers(self) -> None:
        """A slow transfer outlives the idle deadline, which begins again at its end."""
        peer = Peer(idle_timeout=50.0)
        data = peer.data()
        peer.do("STOR f")
        for _ in range(20):
            data.say(b"x" * 1_000)
            peer.world.advance(10)
        data.close()
        self.assertEqual(codes(peer.link.take()), [226])
        peer.world.advance(40)
        self.assertFalse(peer.link.closed)
        peer.world.advance(12)
        self.assertEqual(codes(peer.link.take()), [421])

    def test_stop_waits_for_the_transfer(self) -> None:
        """When the service stops, a transfer is finished, then the session is told."""
        peer = Peer()
        data = self.begin(peer)
        peer.factory.drain()
        self.assertEqual(peer.link.take(), b"")
        data.go_on_reading()  # type: ignore[attr-defined]
        self.assertEqual(codes(peer.link.take()), [226, 421])


class MemoryTests(SynchronousTestCase):
    """What a transfer may hold in memory."""

    def test_slow_disk_holds_the_sender_up(self) -> None:
        """While the store waits, the connection is read up to a bound and no further; then everything arrives."""
        waiting: list[Deferred[None]] = []
        write = MemoryUpload.write

        async def slow(self: MemoryUpload, data: bytes) -> None:
            waiting.append(Deferred())
            await waiting[-1]
            await write(self, data)

        self.patch(MemoryUpload, "write", slow)
        peer = Peer()
        data = peer.data()
        peer.do("STOR f")
        data.say(b"x" * 3_000_000)
        data.half_close()
        connection = peer.link.server.data._connection
        self.assertLessEqual(connection._waiting, READ_AHEAD + 65_536)
        while waiting and not peer.names():
            waiting.pop(0).callback(None)
            data.flush()
            self.assertLessEqual(connection._waiting, READ_AHEAD + 65_536)
        self.assertEqual(codes(peer.link.take()), [226])
        self.assertEqual(peer.content("f"), b"x" * 3_000_000)

    def test_slow_reader_holds_the_disk_up(self) -> None:
        """While the client does not read, no more of the file is read than fits the buffers on the way."""
        peer = Peer()
        peer.put("f", data=b"x" * 5_000_000)
        data = peer.data()
        data.stop_reading()
        peer.do("RETR f")
        transfer = peer.link.server.session.transfer
        self.assertLess(transfer.octets, 500_000)
        data.go_on_reading()
        self.assertEqual(len(data.take()), 5_000_000)


class SlowTests(SynchronousTestCase):
    """Peers that stall are cut; slow ones are served."""

    def test_connection_that_never_comes(self) -> None:
        """A transfer whose data connection does not come in thirty seconds is 425."""
        peer = Peer()
        port = peer.passive()
        self.assertEqual(codes(peer.do("NLST")), [150])
        peer.world.advance(29)
        self.assertEqual(peer.link.take(), b"")
        peer.world.advance(2)
        self.assertEqual(codes(peer.link.take()), [425])
        self.assertRaises(ConnectionRefusedError, peer.connect, port)

    def test_late_connection_is_taken(self) -> None:
        """A client that connects only after the 150 gets its listing."""
        peer = Peer()
        port = peer.passive()
        self.assertEqual(codes(peer.do("NLST")), [150])
        self.assertEqual(peer.connect(port).take(), b"")
        self.assertEqual(codes(peer.link.take()), [226])

    def test_silent_upload(self) -> None:
        """An upload that stops is 426 after two minutes, and nothing is published."""
        peer = Peer()
        data = peer.data()
        peer.do("STOR f")
        data.say(b"some")
        peer.world.advance(118)
        self.assertEqual(peer.link.take(), b"")
        peer.world.advance(4)
        self.assertEqual(codes(peer.link.take()), [426])
        self.assertEqual(peer.names(), [])

    def test_trickling_upload(self) -> None:
        """Ten octets a second are cut within two minutes, a thousand are served.  R02."""
        for octets, lives in ((10, False), (1_000, True)):
            peer = Peer()
            data = peer.data()
            peer.do("STOR f")
            for _ in range(300):
                data.say(b"x" * octets)
                peer.world.advance(1)
            self.assertEqual(codes(peer.link.take()), [] if lives else [426])
            data.close()
            self.assertEqual(codes(peer.link.take()), [226] if lives else [])

    def test_unread_download(self) -> None:
        """A client that reads nothing is cut after two minutes.  R03."""
        peer = Peer()
        peer.put("f", data=b"x" * 2_000_000)
        data = peer.data()
        data.stop_reading()
        peer.do("RETR f")
        peer.world.advance(123)
        self.assertEqual(codes(peer.link.take()), [426])


class AddressTests(SynchronousTestCase):
    """Who may connect, and where to.  F01, F02."""

    def test_stranger_is_turned_away(self) -> None:
        """A connection from another address gets nothing, and the owner is served after it."""
        peer = Peer()
        peer.put("f", data=b"pizza")
        port = peer.passive()
        thief = peer.connect(port, "127.0.0.77")
        self.assertTrue(thief.closed)
        data = peer.connect(port)
        peer.do("RETR f")
        self.assertEqual((thief.take(), data.take()), (b"", b"pizza"))
        self.assertEqual(peer.world.site.counters.value("ftp.data.stranger"), 1)

    def test_only_one_connection_is_taken(self) -> None:
        """Once somebody has connected the port is closed."""
        peer = Peer()
        port = peer.passive()
        peer.connect(port)
        self.assertRaises(ConnectionRefusedError, peer.connect, port)

    def test_one_listener_for_each_session(self) -> None:
        """Asking for ports again and again closes those before; leaving closes the last.  F11."""
        peer = Peer()
        ports = [peer.passive(extended=number % 2 == 0) for number in range(50)]
        for port in ports[:-1]:
            self.assertRaises(ConnectionRefusedError, peer.connect, port)
        peer.link.abort()
        self.assertRaises(ConnectionRefusedError, peer.connect, ports[-1])

    def test_bounce_is_refused(self) -> None:
        """PORT and EPRT go only to the peer's own address, and not to low ports."""
        peer = Peer()
        for words in (
            "PORT 127,0,0,9,40,0", "PORT 127,0,0,1,0,25", "PORT 0,0,0,0,40,0", "EPRT |1|127.0.0.9|4000|", "EPRT |1|127.0.0.1|25|",
            "EPRT |2|::1|4000|", "EPRT |2|::ffff:127.0.0.9|4000|",
        ):  # fmt: skip
            self.assertEqual(codes(peer.do(words)), [501], words)
        self.assertEqual(codes(peer.do("NLST")), [425])
        self.assertEqual(peer.world.site.counters.value("ftp.data.bounced"), 7)

    def test_active_connection_that_is_refused(self) -> None:
        """If nobody listens where PORT said, the transfer is 425 and the session goes on."""
        peer = Peer()
        self.assertEqual(codes(peer.do("PORT 127,0,0,1,40,1", "NLST")), [200, 150, 425])
        self.assertEqual(codes(peer.do("NOOP")), [200])

    def test_epsv_all(self) -> None:
        """After EPSV ALL only EPSV is taken.  RFC 2428 section 4."""
        peer = Peer()
        words = ("EPSV ALL", "PASV", "PORT 127,0,0,1,40,0", "EPRT |1|127.0.0.1|4000|", "EPSV", "EPSV 1", "EPSV 2", "EPSV 3")
        self.assertEqual(codes(peer.do(*words)), [200, 503, 503, 503, 229, 229, 522, 522])

    def test_advertised_address(self) -> None:
        """A 227 tells the address the peer connected to, or the one that is set."""
        self.assertIn(b"(127,0,0,1,", Peer().do("PASV"))
        self.assertIn(b"(192,0,2,1,", Peer(passive_address="192.0.2.1").do("PASV"))

    def test_passive_ports(self) -> None:
        """Ports come from the range; when all are taken the next is refused."""
        peer = Peer(passive_ports="50000-50002")
        others = [Peer(world=peer.world, passive_ports="50000-50002") for _ in range(3)]
        taken = {peer.passive(), others[0].passive(), others[1].passive(True)}
        self.assertEqual(taken, {50_000, 50_001, 50_002})
        self.assertEqual(codes(others[2].do("PASV", "EPSV")), [425, 425])
        peer.link.abort()
        self.assertIn(others[2].passive(), taken)


class ListingTests(SynchronousTestCase):
    """LIST, NLST and MLSD over a data connection."""

    def filled(self) -> Peer:
        """A peer with some files."""
        peer = Peer()
        peer.put("a.txt", data=b"1")
        peer.put("b.gz", data=b"22")
        peer.put("d", "c.txt", data=b"333")
        return peer

    def lines(self, peer: Peer, command: str) -> list[str]:
        """The sorted lines of a listing."""
        heard, replies = peer.fetch(command)
        self.assertEqual(codes(replies), [150, 226], command)
        return sorted(heard.decode().splitlines())

    def test_names(self) -> None:
        """NLST lists names that can be used as paths, with and without argument, pattern and options."""
        peer = self.filled()
        table = {
            "NLST": ["a.txt", "b.gz", "d"],
            "NLST .": ["a.txt", "b.gz", "d"],
            "NLST -la": ["a.txt", "b.gz", "d"],
            "NLST /": ["a.txt", "b.gz", "d"],
            "NLST d": ["d/c.txt"],
            "NLST d/": ["d/c.txt"],
            "NLST /d": ["/d/c.txt"],
            "NLST *.txt": ["a.txt"],
            "NLST d/*": ["d/c.txt"],
            "NLST ?.gz": ["b.gz"],
            "NLST *.nothing": [],
            "NLST a.txt": ["a.txt"],
            "NLST d/c.txt": ["d/c.txt"],
        }
        for command, names in table.items():
            self.assertEqual(self.lines(peer, command), names, command)

    def test_empty_folder(self) -> None:
        """An empty folder is an empty listing with 226, by every verb."""
        peer = Peer()
        for command in ("NLST", "LIST", "MLSD", "NLST -a", "LIST -la"):
            self.assertEqual(self.lines(peer, command), [], command)

    def test_long_listing(self) -> None:
        """LIST shows a file, a folder's entries, or what fits a pattern; MLSD the facts."""
        peer = self.filled()
        self.assertEqual([line.split()[-1] for line in self.lines(peer, "LIST -al")], ["a.txt", "b.gz", "d"])
        self.assertEqual([line.split()[4] for line in self.lines(peer, "LIST *.gz")], ["2"])
        self.assertEqual([line.split()[-1] for line in self.lines(peer, "LIST d/c.txt")], ["c.txt"])
        self.assertEqual([line.split(" ")[1] for line in self.lines(peer, "MLSD d")], ["c.txt"])

    def test_patterns_only_in_the_last_name(self) -> None:
        """Wildcards before the last slash are names, so a pattern costs one folder.  F06."""
        peer = self.filled()
        for path in ("*/c.txt", "{a,b}" * 20, "*a" * 60 + "b", "*/*/*"):
            self.assertIn(codes(peer.fetch(f"NLST {path}")[1])[0], (501, 550), path)
        self.assertEqual(len(self.lines(peer, "NLST */../*/../*")), 3)

    def test_large_folder_is_streamed(self) -> None:
        """A folder of 3,000 entries comes whole to a slow reader."""
        peer = Peer()
        for number in range(3_000):
            peer.put(f"file-{number:05d}")
        data = peer.data()
        data.stop_reading()
        self.assertEqual(codes(peer.do("MLSD")), [150])
        data.go_on_reading()
        heard = data.take()
        self.assertEqual(len(heard.splitlines()), 3_000)
        self.assertEqual(codes(peer.link.take()), [226])
