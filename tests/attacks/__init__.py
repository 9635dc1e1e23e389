"""
What hostile and clumsy peers do to a running daemon, on its real ports.

Each test starts ``launcelot demo``, attacks it from loopback while a probe asks every port something cheap, and afterwards
:class:`~tests.attacks.harness.AttackCase` requires of each that the daemon lives, answered the probe all the time, gave memory
and descriptors back, and logged no traceback.  Numbers such as S01 and T05 are those of the project's catalogue of attacks.
"""
