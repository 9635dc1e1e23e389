"""Tests of protocols/book."""
