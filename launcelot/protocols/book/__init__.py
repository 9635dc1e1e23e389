"""The small machines of *Foundations of Python Network Programming*, each a Protocol/Factory pair."""
