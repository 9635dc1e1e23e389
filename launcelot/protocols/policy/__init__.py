"""Our own MTA-STS policy, served over HTTPS."""
