"""The ftp Protocol/Factory pair."""
