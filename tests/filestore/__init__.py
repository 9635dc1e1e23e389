"""Tests of filestore."""
