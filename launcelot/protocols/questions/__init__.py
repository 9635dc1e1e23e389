"""The questions Protocol/Factory pair."""
