"""The settings of the IMAP service, each with unit, default and text."""

from __future__ import annotations

from dataclasses import dataclass

from launcelot.core.settings import setting


@dataclass(frozen=True)
class Settings:
    """What an operator can choose."""

    listen: tuple[str, ...] = setting(
        ("tcp:2143:interface=127.0.0.1",), "Endpoints where TLS is started with STARTTLS (service name imap)."
    )
    listen_tls: tuple[str, ...] = setting(
        ("tcp:2993:interface=127.0.0.1",), "Endpoints that speak TLS from the first octet (service name imaps)."
    )
    plaintext_login: str = setting(
        "loopback",
        "Who may log in with a password and without TLS: peers on loopback addresses, nobody, or everybody.",
        choices=("loopback", "never", "always"),
    )
    max_connections: int = setting(10_000, "Connections in all.", unit="connections", minimum=1)
    max_connections_per_source: int = setting(
        50, "Connections from one IPv4 address or one IPv6 /64.", unit="connections", minimum=1
    )
    login_timeout: float = setting(60.0, "From connecting to having logged in.", unit="seconds", minimum=1)
    idle_timeout: float = setting(
        1_800.0,
        "Without a command, or in IDLE; RFC 3501 section 5.4 asks for at least 1800.",
        unit="seconds",
        minimum=1,
    )
    max_append_size: int = setting(67_108_864, "Largest message in APPEND.", unit="octets", minimum=1)
    max_command_size: int = setting(
        65_536,
        "Largest command, its literals included; a message in APPEND does not count.",
        unit="octets",
        minimum=8_192,
    )
    message_limit: int = setting(
        0,
        "Messages that one command works on, told as MESSAGELIMIT or SAVELIMIT; 0 for no limit. What names more is done for"
        " those with the highest UIDs, or refused. RFC 9738 asks for at least 1000, and has clients that do not know it see"
        " only so many messages of a mailbox.",
        unit="messages",
        minimum=0,
    )
    message_limit_commands: str = setting(
        "all",
        "What message_limit is for: all commands that RFC 9738 names, or only saving, COPY and APPEND (SAVELIMIT).",
        choices=("all", "saving"),
    )
    append_8bit_headers: str = setting(
        "enabled",
        "Who may APPEND messages whose headers have octets above 127: clients that ENABLE UTF8=ACCEPT, as RFC 9755 section 4"
        " demands, or always everybody, as for moving old mail here with programs that cannot.",
        choices=("enabled", "always"),
    )
    unauthenticate: bool = setting(
        True,
        "Whether a client may become nobody again on its connection (UNAUTHENTICATE), for another log-in. RFC 8437 section 8"
        " wants it off behind proxies that decide who may log in.",
    )
    server_admin: str = setting(
        "",
        "Who runs the server, as a URI such as tel:+441225; told as /shared/admin. Empty for mailto: and the postmaster.",
    )
    server_comment: str = setting("", "What clients are told of the server, as /shared/comment; nothing if empty.")
    max_bad_commands: int = setting(
        20, "Commands in a row that are answered BAD before the connection is closed.", unit="commands", minimum=1
    )

    @property
    def command_limit(self) -> int:
        """Messages that one FETCH, STORE, SEARCH, MOVE, THREAD or UID EXPUNGE may work on; 0 for no limit."""
        return self.message_limit if self.message_limit_commands == "all" else 0
