"""Mail to other hosts: where it goes, and how it is handed over."""
