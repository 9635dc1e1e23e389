"""The last hop of a message: through its owner's script into mailboxes, and what that sends out again."""
