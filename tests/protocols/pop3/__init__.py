"""Tests of protocols/pop3."""
