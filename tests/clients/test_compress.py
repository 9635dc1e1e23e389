"""A program we did not write compresses its IMAP."""

from __future__ import annotations

import mailbox

from tests.clients.demo import sample
from tests.clients.peers import program
from tests.clients.test_mail_clients import MailClientCase


class CompressTests(MailClientCase):
    """COMPRESS=DEFLATE against a running demo."""

    def test_mutt(self) -> None:
        """mutt compresses inside TLS, reads a message and saves it as it is."""
        subject = self.subject()
        self.deliver(sample(subject))
        service = self.demo.service("imaps")
        self.write(
            ".muttrc",
            f'set folder="imaps://{self.user}@localhost:{service.port}/"\nset spoolfile="+INBOX"\n'
            f'set imap_pass="{self.password}"\nset certificate_file="{self.demo.ca_file}"\nset ssl_verify_host=yes\n'
            "set quit=yes\nset delete=no\nset confirmcreate=no\nset confirmappend=no\nset mbox_type=Maildir\n"
            "unset wait_key\nset imap_deflate=yes\n",
        )
        saved = self.folder / "saved"
        keys = f"<tag-pattern>~s '{subject}'<enter><tag-prefix><copy-message>{saved}<enter><quit>"
        mutt = f"{program('mutt')} -d 3 -F {self.folder}/.muttrc -e \"push \\\"{keys}\\\"\""
        self.run_program("script", "-qec", mutt, "/dev/null")
        said = (self.folder / ".muttdebug0").read_text(errors="replace")
        self.assertIn(" COMPRESS DEFLATE", said)
        self.assertIn(" OK DEFLATE active", said)
        self.assertIn(" OK LOGOUT completed", said)
        self.assertEqual([one["Subject"] for one in mailbox.Maildir(saved, factory=None)], [subject])
