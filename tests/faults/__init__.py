"""
Fault campaigns: what becomes of accepted mail when the process, the disk, the clock or the network fails at the worst moment.

``python -m tests.faults`` runs all of them at full counts; the tests in this folder run each at a reduced one.
``docs/faults.rst`` says what each does and what was found.
"""
