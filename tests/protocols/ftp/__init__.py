"""Tests of protocols/ftp."""
