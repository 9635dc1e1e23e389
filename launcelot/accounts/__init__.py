"""
Who people are: accounts, groups, aliases, passwords.

* :mod:`~launcelot.accounts.interface`: what every directory answers.
* :mod:`~launcelot.accounts.names`, :mod:`~launcelot.accounts.passwords`: the one form of a name, and hashes within bounds.
* :mod:`~launcelot.accounts.local`: all rules of a directory on this machine, over the seam of
  :mod:`~launcelot.accounts.tables`; :mod:`~launcelot.accounts.resolution` walks from an address to accounts, and
  :mod:`~launcelot.accounts.groups` has the rules of groups, and of who has been offered something by whom.
* :mod:`~launcelot.accounts.memory`, :mod:`~launcelot.accounts.sqlite`: the two that keep the tables.

Left out until the issues that bring them: LDAP, app passwords, and groups of groups.  A disabled account's live sessions are
not cut here: ``launcelot account`` has the daemon do it (``ServerFactory.dismiss`` in :mod:`launcelot.hosting.server`).
"""
