"""Real DNS servers on this machine: unbound, which validates, before nsd with zones that are signed here (ldnsutils)."""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.clients.peers import program

LIMIT = 60.0
QUIET: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

CONFIGURATION = """server:
    verbosity: 0
    interface: 127.0.0.1
    port: {port}
    do-daemonize: no
    chroot: ""
    username: ""
    directory: "{folder}"
    pidfile: ""
    use-syslog: no
    logfile: "{folder}/log"
    num-threads: 1
    module-config: "validator iterator"
    do-not-query-localhost: no
    root-hints: ""
    trust-anchor-signaling: no
    local-zone: "example." nodefault
    access-control: 127.0.0.0/8 allow
{anchors}
remote-control:
    control-enable: no
{zones}
"""

STUB = """stub-zone:
    name: "{name}"
    stub-addr: 127.0.0.1@{port}
    stub-no-cache: yes
"""

AUTHORITY = """server:
    ip-address: 127.0.0.1@{port}
    zonesdir: "{folder}"
    database: ""
    pidfile: ""
    xfrdfile: "{folder}/xfrd.state"
    zonelistfile: "{folder}/zone.list"
    logfile: "{folder}/nsd.log"
    username: ""
    server-count: 1
remote-control:
    control-enable: no
{zones}
"""

AUTHORITY_ZONE = """zone:
    name: "{name}"
    zonefile: "{name}"
"""

HEAD = """$ORIGIN {name}.
$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 30
@ IN NS ns
ns IN A 127.0.0.1
"""


class SignedZones:
    """
    Serves zones until :meth:`stop`.

    :param signed: by name, records in the words of a zone file; the server validates what is below these names.
    :param plain: the same without signatures.
    :param forged: signed, and then somebody has changed every address 127.0.0.1 in them.
    :ivar port: on 127.0.0.1, UDP and TCP.
    """

    def __init__(
        self, signed: Mapping[str, str], plain: Mapping[str, str] | None = None, forged: Mapping[str, str] | None = None
    ) -> None:
        programs = [program("nsd"), program("unbound")]
        program("ldns-signzone")
        self._folder = tempfile.TemporaryDirectory(prefix="launcelot-zones-")
        folder = Path(self._folder.name)
        self._anchors: list[str] = []
        for name, records in (plain or {}).items():
            self._write(folder, name, records)
        for name, records in {**signed, **(forged or {})}.items():
            file = self._sign(folder, name, records)
            if name in (forged or {}):
                file.write_text(re.sub(r"\b127\.0\.0\.1\b", "127.0.0.2", file.read_text()))
        names = [*(plain or {}), *signed, *(forged or {})]
        self.port, authority = free_pair(), free_pair()
        texts = [
            AUTHORITY.format(
                port=authority, folder=folder, zones="".join(AUTHORITY_ZONE.format(name=name) for name in names)
            ),
            CONFIGURATION.format(
                port=self.port,
                folder=folder,
                anchors="\n".join(self._anchors),
                zones="".join(STUB.format(name=name, port=authority) for name in names),
            ),
        ]
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            # The one that asks the other comes last: a question that was asked too early it answers with a failure for a while.
            for path, text, port in zip(programs, texts, (authority, self.port), strict=True):
                file = folder / f"{Path(path).name}.conf"
                file.write_text(text)
                self._processes.append(subprocess.Popen([path, "-d", "-c", str(file)], **QUIET))
                for number, name in enumerate(names):
                    self._wait(port, soa_of(name, number))
        except BaseException:
            self.stop()
            raise

    def _write(self, folder: Path, name: str, records: str) -> Path:
        file = folder / name
        file.write_text(HEAD.format(name=name) + records.strip() + "\n")
        return file

    def _sign(self, folder: Path, name: str, records: str) -> Path:
        file = self._write(folder, name, records)
        command = [program("ldns-keygen"), "-a", "ECDSAP256SHA256", "-k", name]
        key = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, check=True).stdout.strip()
        sign = [program("ldns-signzone"), "-f", str(file), str(file), str(folder / key)]
        subprocess.run(sign, cwd=folder, capture_output=True, timeout=LIMIT, check=True)
        self._anchors.append(f'    trust-anchor-file: "{folder / key}.key"')
        return file

    def _wait(self, port: int, question: bytes) -> None:
        """Until a server has an answer to a question."""
        until = time.monotonic() + LIMIT
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(0.1)
            asking.connect(("127.0.0.1", port))
            while time.monotonic() < until and self._processes[-1].poll() is None:
                try:
                    asking.send(question)
                    answer = asking.recv(4_096)
                except OSError:
                    answer = b""
                if answer[:2] == question[:2] and answer[3] & 15 == 0:
                    return
                threading.Event().wait(0.02)
        logs = [one.read_text() for one in Path(self._folder.name).glob("*log")]
        raise AssertionError(f"no answer from {self._processes[-1].args!r}: {logs}")

    def stop(self) -> None:
        """End them, and remove what they had."""
        for process in self._processes:
            process.terminate()
            try:
                process.wait(LIMIT)
            finally:
                process.kill()
                process.wait()
        self._folder.cleanup()


def soa_of(name: str, number: int) -> bytes:
    """A question for the SOA record of a zone."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", number + 1, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", 6, 1)


def free_pair() -> int:
    """A port that neither UDP nor TCP uses now."""
    while True:
        with socket.socket() as stream, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            try:
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
