"""The imap4 Protocol/Factory pair."""
