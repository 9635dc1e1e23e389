"""Tests of the checks of mail from strangers."""
