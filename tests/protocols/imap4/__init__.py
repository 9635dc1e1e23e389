"""Tests of protocols/imap4."""
