"""Tests of protocols/questions."""
