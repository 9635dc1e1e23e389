"""Tests of ManageSieve."""
