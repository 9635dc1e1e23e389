"""Programs that people type into: the FTP clients of BSD, GNU and Linux, rclone, s-nail, interimap."""

from __future__ import annotations

import imaplib
import os
import re
import ssl

from tests.clients.demo import DemoCase, sample
from tests.clients.peers import program

DATA = bytes(range(256)) * 1000


class FileTests(DemoCase):
    """FTP."""

    def typed(self, command: tuple[str, ...], *lines: str) -> str:
        """What a client says to what is typed; it is logged in first."""
        port = self.demo.service("ftp").port
        said = "\n".join((f"open localhost {port}", f"user {self.user} {self.password}", *lines, "bye", ""))
        return self.run_program(*command, said=said.encode()).decode()

    def test_what_is_typed(self) -> None:
        """tnftp, inetutils' and Linux' ftp move a file both ways, passive and active, list by name, and are refused in words."""
        near = self.folder / "near.bin"
        near.write_bytes(DATA)
        for client in ("tnftp", "inetutils-ftp"):
            back = self.folder / "back.bin"
            said = self.typed(
                (client, "-n", "-v"),
                "binary", "put near.bin far.bin", "passive", "get far.bin back.bin", "mkdir sub", "rename far.bin sub/far.bin",
                "size sub/far.bin", "ls", "ls sub", "delete sub/far.bin", "rmdir sub", "rmdir sub", "ascii",
                "put near.bin far.bin", "delete far.bin",
            )  # fmt: skip
            self.assertEqual(back.read_bytes(), DATA, said)
            back.unlink()
            listed = re.findall(r"^[-d]\S+ .* (\S+)\r?$", said, re.MULTILINE)
            self.assertEqual(listed, ["quests", "sub", "welcome.txt", "far.bin"], said)
            self.assertEqual(re.findall("^550.*$", said, re.MULTILINE), ["550 not found"], said)
            self.assertEqual(said.count("226 Transfer complete"), 3, said)

    def test_inside_tls(self) -> None:
        """
        ftp-ssl lists and fetches inside TLS.

        It ends what it sends without TLS's notice, which is no proof that it has sent everything: its uploads are refused.
        """
        (self.folder / "near.bin").write_bytes(DATA)
        said = self.typed(("ftp-ssl", "-n", "-v"), "passive", "ls", "get welcome.txt back.txt", "put near.bin", "ls near.bin")
        self.assertIn("200 Data connections speak TLS.", said)
        self.assertIn("welcome.txt", said)
        self.assertEqual((self.folder / "back.txt").stat().st_size, 60)
        self.assertIn("426 Transfer incomplete: TLS ended without its closing notice.", said)
        self.assertIn("\n550 ", said)

    def test_rclone(self) -> None:
        """rclone syncs a tree under TLS of both kinds, keeps times, finds nothing to do again, and takes all of it away."""
        near = self.folder / "near"
        (near / "sub folder").mkdir(parents=True)
        for name, data in (("a;b &c.txt", b"1\n"), ("sub folder/zwei \u00fc.bin", DATA), ("empty", b"")):
            (near / name).write_bytes(data)
            os.utime(near / name, (1_500_000_000, 1_500_000_000))
        hidden = self.run_program("rclone", "obscure", self.password).decode().strip()
        for name, how in (("ftp", "explicit_tls=true"), ("ftps", "tls=true")):
            port = self.demo.service(name).port
            far = f":ftp,host=localhost,port={port},user={self.user},pass={hidden},{how}:tree"
            rclone = ("env", f"SSL_CERT_FILE={self.demo.ca_file}", "TZ=UTC", program("rclone"), "--config", "")
            sync = (*rclone, "sync", "-v", "near", far)
            self.run_program(*sync)
            self.run_program("sh", "-c", '"$@" 2>&1 | grep -q "nothing to transfer"', "sh", *sync)
            self.run_program(*rclone, "check", "--download", "near", far)
            self.run_program(*rclone, "sync", far, "back")
            listed = self.run_program(*rclone, "lsf", "-R", "--format", "tp", "--files-only", far).decode()
            self.assertEqual({line.partition(" ")[0] for line in listed.splitlines()}, {"2017-07-14"}, listed)
            self.assertEqual((self.folder / "back" / "sub folder" / "zwei \u00fc.bin").read_bytes(), DATA)
            self.run_program(*rclone, "purge", far)


class MailTests(DemoCase):
    """SMTP, IMAP and POP3."""

    def test_s_nail(self) -> None:
        """s-nail submits under TLS of both kinds, files, deletes and reads over IMAP, and reads and deletes over POP3."""
        port = {name: service["port"] for name, service in self.demo.told["services"].items()}
        self.write(
            "rc",
            f"set v15-compat tls-ca-file={self.demo.ca_file} tls-verify=strict from={self.address} nosave\n"
            "set smtp-use-starttls imap-use-starttls pop3-use-starttls\n",
        )
        login = f"{self.user}:{self.password}@localhost"
        nail = ("env", f"MAILRC={self.folder}/rc", program("s-nail"))
        for number, mta in enumerate((f"smtp://{login}:{port['submission']}", f"smtps://{login}:{port['submissions']}")):
            self.run_program(*nail, "-S", f"mta={mta}", "-s", f"Gr\u00fc\u00dfe {number}", self.address, said=b"from s-nail\n")
        imap = f"imap://{login}:{port['imap']}/"
        said = self.run_program(
            *nail, "-S", f"folder={imap}", "-f", f"{imap}INBOX", said=b"print 4\ndelete 1\ncopy 2 +Archive\nquit\n"
        ).decode()
        self.assertIn("5 messages", said)
        self.assertIn("from s-nail", said)
        said = self.run_program(*nail, "-f", f"imaps://{login}:{port['imaps']}/Archive", said=b"headers\nquit\n").decode()
        self.assertIn("Swallows", said)
        said = self.run_program(*nail, "-f", f"pop3s://{login}:{port['pop3s']}", said=b"delete 1\nquit\n").decode()
        self.assertIn("4 messages", said)
        said = self.run_program(*nail, "-f", f"pop3://{login}:{port['pop3']}", said=b"headers\nexit\n").decode()
        self.assertIn("3 messages", said)

    def test_interimap(self) -> None:
        """interimap keeps two accounts alike with QRESYNC, compressed: messages and flags go both ways, once."""
        self.write(
            "config",
            f"database = {self.folder}/state\n"
            + "".join(
                f"[{side}]\ntype = {kind}\nhost = localhost\nport = {self.demo.service(kind).port}\nusername = {user}\n"
                f"password = {self.demo.accounts[user]}\nSSL_CAfile = {self.demo.ca_file}\nSTARTTLS = YES\ncompress = YES\n"
                for side, kind, user in (("local", "imap", "brandon"), ("remote", "imaps", "ann"))
            ),
        )
        self.run_program("interimap", "--config", str(self.folder / "config"), "--quiet")
        self.assertEqual(self.flags("ann"), [set(), set(), set()])
        with self.logged_in("ann") as client:
            client.select("INBOX")
            client.store("2", "+FLAGS", "(\\Answered)")
            client.append("INBOX", "(\\Draft)", "", sample("new at ann's"))
        with self.logged_in("brandon") as client:
            client.select("INBOX")
            client.store("1", "+FLAGS", "($mine)")
        for _ in range(2):
            self.run_program("interimap", "--config", str(self.folder / "config"), "--quiet")
            for user in ("ann", "brandon"):
                self.assertEqual(self.flags(user), [{"$mine"}, {"\\Answered"}, set(), {"\\Draft"}])

    def logged_in(self, user: str) -> imaplib.IMAP4_SSL:
        """imaplib under TLS."""
        context = ssl.create_default_context(cafile=self.demo.ca_file)
        client = imaplib.IMAP4_SSL("localhost", self.demo.service("imaps").port, ssl_context=context, timeout=60)
        client.login(user, self.demo.accounts[user])
        return client

    def flags(self, user: str) -> list[set[str]]:
        """The flags of what is in the inbox, but for ``\\Recent``."""
        with self.logged_in(user) as client:
            client.select("INBOX", readonly=True)
            rows = client.fetch("1:*", "(FLAGS)")[1]
            return [{flag.decode() for flag in imaplib.ParseFlags(row)} - {"\\Recent"} for row in rows if isinstance(row, bytes)]
