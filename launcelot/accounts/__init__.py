"""Who people are: accounts, aliases, passwords."""
