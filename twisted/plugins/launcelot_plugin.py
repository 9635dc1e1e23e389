"""The daemon as twistd plugins: names only, so that ``twistd --help`` imports nothing of the house."""

from twisted.application.service import ServiceMaker

launcelot = ServiceMaker(
    "Launcelot", "launcelot.app.tap.everything", "Mail, files and small services from one account base.", "launcelot"
)
questions = ServiceMaker(
    "Launcelot questions", "launcelot.app.tap.questions", "Sir Launcelot answers questions.", "launcelot-questions"
)
smtp = ServiceMaker("Launcelot SMTP", "launcelot.app.tap.smtp", "Mail in: SMTP and submission.", "launcelot-smtp")
imap = ServiceMaker("Launcelot IMAP", "launcelot.app.tap.imap", "Mail out: IMAP4.", "launcelot-imap")
pop3 = ServiceMaker("Launcelot POP3", "launcelot.app.tap.pop3", "Mail out: POP3.", "launcelot-pop3")
managesieve = ServiceMaker(
    "Launcelot ManageSieve",
    "launcelot.app.tap.managesieve",
    "Scripts that sort mail: ManageSieve.",
    "launcelot-managesieve",
)
ftp = ServiceMaker("Launcelot FTP", "launcelot.app.tap.ftp", "Files: FTP and FTPS.", "launcelot-ftp")
book = ServiceMaker(
    "Launcelot book", "launcelot.app.tap.book", "The small machines of the book on network programming.", "launcelot-book"
)
