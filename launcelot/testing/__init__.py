"""The test kit: in-memory transports, a Site on a clock, dialogues as text."""
