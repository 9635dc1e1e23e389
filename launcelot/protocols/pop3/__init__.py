"""The pop3 Protocol/Factory pair."""
