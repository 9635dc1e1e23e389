"""Filters beside us."""
