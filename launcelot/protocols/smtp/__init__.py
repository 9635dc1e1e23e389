"""The smtp Protocol/Factory pair."""
