"""Tests of mailstore."""
