"""Tests of protocols/smtp."""
