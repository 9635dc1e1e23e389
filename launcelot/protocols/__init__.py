"""One package for each protocol; they do not know each other."""
