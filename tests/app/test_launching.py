"""What a worker is handed, its log, and what of a new configuration it can take on; in one process."""

from __future__ import annotations

import json
import os
from typing import Any

from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from launcelot.app.configuration import Configuration, defaults, parse
from launcelot.app.errors import Ending
from launcelot.app.launching import Orders, configuration_of, environment, read_orders, tables_of
from launcelot.app.master import keep_listeners
from launcelot.app.workerlog import LogPipe, relog, relog_output


def configured(text: str) -> Configuration:
    """The configuration of a file."""
    configuration, faults = parse(f"config_version = 1\n{text}")
    assert not faults, faults
    return configuration


class OrdersTests(SynchronousTestCase):
    """From master to worker."""

    def test_a_configuration_arrives_as_it_was(self) -> None:
        """Every key, of every service; those that are switched off stay so."""
        odd = configured(
            '[daemon]\ndata = "/tmp/x"\nproxy_networks = ["10.0.0.0/8"]\ndomains = ["a.example", "b.example"]\n'
            "workers = 3\nstop_limit = 7\n"
            "[tls]\nenabled = false\n[ftp]\nenabled = false\n"
            '[imap]\nlisten = ["systemd:index=0", "proxied:systemd:index=1"]\nlisten_tls = []\n'
        )
        for whole in (odd, defaults().with_data("/tmp/y")):
            self.assertEqual(whole, configuration_of(json.loads(json.dumps(tables_of(whole)))))

    def test_faults_that_came_later_are_told(self) -> None:
        """Such as a table of answers that has gone."""
        tables = tables_of(defaults())
        tables["questions"]["tables"] = ["/nonexistent.toml"]
        ending = self.assertRaises(Ending, configuration_of, tables)
        self.assertIn("questions.tables: /nonexistent.toml", ending.text)

    def test_orders_arrive_and_their_secrets_are_not_shown(self) -> None:
        """Nothing of ``--auth`` is in what might be logged."""
        orders = Orders(1, 2, {"config_version": 1}, 3, bytes(range(16)), ("memory:ann:secret",))
        self.assertEqual(orders, read_orders(orders.encode()))
        self.assertNotIn("secret", repr(orders))

    def test_the_environment_is_about_the_worker(self) -> None:
        """Nothing of it speaks to the service manager; modules are found where the master finds them."""
        alone = {"LISTEN_FDS": "1", "LISTEN_PID": "7", "NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1", "JOURNAL_STREAM": "1:2"}
        made = environment({"HOME": "/h", "PYTHONPATH": "z", **alone}, ["", "/a"])
        self.assertEqual({"HOME": "/h", "PYTHONPATH": f"{os.getcwd()}:/a"}, made)


class KeepListenersTests(SynchronousTestCase):
    """What needs other sockets."""

    def test_settings_come_and_endpoints_stay(self) -> None:
        """Both are told apart, key by key."""
        now = configured('[imap]\nlisten = ["tcp:1"]\nidle_timeout = 1800\n[ftp]\nenabled = false\n')
        wanted = configured('[imap]\nlisten = ["tcp:2"]\nidle_timeout = 2000\n[pop3]\nenabled = false\n[tls]\nenabled = false\n')
        kept, waiting = keep_listeners(now, wanted)
        self.assertEqual(["ftp", "imap.listen", "pop3", "tls.enabled"], waiting)
        self.assertEqual((("tcp:1",), 2000.0), (kept.services["imap"].listen, kept.services["imap"].idle_timeout))
        self.assertEqual(set(now.services), set(kept.services))
        self.assertTrue(kept.tls.enabled)

    def test_nothing_waits_where_nothing_changed(self) -> None:
        """The same file."""
        self.assertEqual((defaults(), []), keep_listeners(defaults(), defaults()))


class LogTests(SynchronousTestCase):
    """A worker's log in its master's."""

    def setUp(self) -> None:
        """A pipe."""
        self.reading, writing = os.pipe()
        self.addCleanup(os.close, self.reading)
        self.addCleanup(os.close, writing)
        self.pipe = LogPipe(writing)

    def lines(self) -> list[bytes]:
        """What is in the pipe."""
        os.set_blocking(self.reading, False)
        found = b""
        try:
            while more := os.read(self.reading, 1 << 20):
                found += more
        except BlockingIOError:
            pass
        return found.splitlines()

    def told(self, line: bytes) -> tuple[Any, str, str]:
        """Level, namespace and text of a line in the master's log."""
        with capturedLogs() as events:
            self.assertIsNone(relog(3, line))
        [event] = events
        return event["log_level"], event["log_namespace"], event["log_format"].format(**event)

    def test_an_event_keeps_level_origin_and_words(self) -> None:
        """Braces in it are not looked at again."""
        self.pipe({"log_level": LogLevel.warn, "log_namespace": "launcelot.x", "log_format": "{what} in {{it}}", "what": "{n}"})
        [line] = self.lines()
        self.assertEqual((LogLevel.warn, "launcelot.x", "worker 3: {n} in {it}"), self.told(line))

    def test_a_full_pipe_holds_nobody_up(self) -> None:
        """Lines are lost then, and their number is told; no line is torn."""
        event = {"log_level": LogLevel.info, "log_namespace": "x", "log_format": "y" * 30_000}
        for _ in range(100):
            self.pipe(event)
        whole = self.lines()
        self.assertLess(len(whole), 100)
        self.pipe(event)
        rest = self.lines()
        with capturedLogs() as events:
            for line in rest:
                relog(3, line)
        lost = [one["lost"] for one in events if "lost" in one]
        written = sum(b'"text"' in line for line in [*whole[:-1], whole[-1] + rest[0], *rest[1:]])
        self.assertEqual([101 - written], lost)

    def test_a_reason_is_for_the_master(self) -> None:
        """It is no line of the log."""
        self.pipe.write({"ending": "the table is broken", "status": 78})
        [line] = self.lines()
        self.assertEqual({"ending": "the table is broken", "status": 78}, relog(3, line))

    def test_other_output_is_shown_as_it_is(self) -> None:
        """A library's words, and the torn last line of one that was killed."""
        with capturedLogs() as events:
            relog_output(3, b"caf\xe9 {x}")
            self.assertIsNone(relog(3, b'{"level": "in'))
        self.assertEqual(["caf\ufffd {x}", '{"level": "in'], [event["line"] for event in events])
