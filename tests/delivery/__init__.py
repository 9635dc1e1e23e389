"""Tests of delivery through scripts."""
