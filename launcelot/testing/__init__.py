"""
The test kit: in-memory transports, a Site on a clock, dialogues as text.

``site`` has ``memory_site`` and the ``World`` it gives, ``link`` raw peers and pairs of protocols, ``dialogue`` what is said and
answered, ``network`` the network below them, ``certificates`` what TLS needs.  ``docs/writing-a-service.rst`` shows them in use.
"""
