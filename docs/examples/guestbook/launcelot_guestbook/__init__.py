"""A guestbook: the accounts of a Launcelot daemon leave short notes and read each other's."""
