"""
Mail, files and small services of a team from one Twisted daemon.

The floors of the house are described in ``docs/architecture.rst``; a package imports only from floors below its own.
"""

__version__ = "0.1.0"
