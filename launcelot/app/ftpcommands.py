"""The options of ``launcelot ftp``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Common = Callable[..., None]


def add_ftp(commands: Any, common: Common) -> None:
    """Add it to the ``launcelot`` command."""
    ftp = commands.add_parser("ftp", help="move files and trees from and to an FTP server, resumed and compared")
    works = ftp.add_subparsers(title="commands", metavar="COMMAND", required=True)
    get = works.add_parser("get", help="receive a file", description="The target is the old file or the whole new one.")
    get.add_argument("remote", metavar="REMOTE", help="the file on the server")
    get.add_argument("local", metavar="LOCAL", nargs="?", help="a file or folder here (default: the same name)")
    put = works.add_parser("put", help="send a file")
    put.add_argument("local", metavar="LOCAL", help="the file here")
    put.add_argument("remote", metavar="REMOTE", nargs="?", help="its name there, or a folder with / behind it")
    mirror = works.add_parser(
        "mirror",
        help="make a folder what another is",
        description="What has the same size and time, to the second, is not moved.  Symbolic links are left out.  Ends with 1 if"
        " something could not be moved.",
    )
    mirror.add_argument("remote", metavar="REMOTE", help="the folder on the server")
    mirror.add_argument("local", metavar="LOCAL", help="the folder here")
    mirror.add_argument("--up", action="store_true", help="make the one on the server what the one here is")
    mirror.add_argument("--delete", action="store_true", help="remove what the other one does not have")
    for name, work in (("get", get), ("put", put), ("mirror", mirror)):
        common(work, "launcelot.app.ftp:main")
        work.set_defaults(work=name)
        work.add_argument("--server", metavar="HOST", default="localhost", help="where (default: %(default)s)")
        work.add_argument("--port", type=int, help="default: 21, with --tls implicit 990")
        work.add_argument("--tls", choices=("explicit", "implicit", "none"), default="explicit", help="default: %(default)s")
        work.add_argument("--ca-file", metavar="FILE", help="PEM of the authorities to trust (default: those of the system)")
        work.add_argument("--user", metavar="NAME", required=True, help="the password: --password-file, or $LAUNCELOT_PASSWORD")
        work.add_argument("--password-file", metavar="FILE")
        work.add_argument("--fresh", action="store_true", help="do not go on with what an earlier run left")
        work.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for each answer (default: %(default)g)")
