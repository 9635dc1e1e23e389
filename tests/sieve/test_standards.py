"""What the standards' own examples say, extension by extension, each with a message that it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from twisted.trial.unittest import SynchronousTestCase

from launcelot.sieve.grammar import ScriptError
from launcelot.sieve.script import compile_script
from tests.sieve.kit import holds, wants


def mail(*fields: str, body: str = "hello\r\n") -> bytes:
    """A message of fields and a body."""
    return ("".join(f"{one}\r\n" for one in fields) + "\r\n" + body).encode()


class BaseTests(SynchronousTestCase):
    """RFC 5228."""

    def test_table_of_tests(self) -> None:
        """Section 2.7.4: parts of addresses; 5.7: header, its table with an empty field."""
        for field, contains, wanted in (
            ("X-Caffeine: C8H10N4O2", "", True),
            ("X-Caffeine:", "", True),
            ("X-Other: 1", "", False),
        ):
            message = mail(field)
            self.assertIs(holds(f'header :contains "X-Caffeine" "{contains}"', message), wanted, field)
        self.assertIs(holds('header :is "X-Caffeine" ""', mail("X-Caffeine: C8H10N4O2")), False)
        self.assertIs(holds('header :is "X-Caffeine" ""', mail("X-Caffeine:   ")), True)
        acm = mail("From: <tim@example.com>")
        for part, value in (("all", "tim@example.com"), ("localpart", "TIM"), ("domain", "EXAMPLE.com")):
            self.assertTrue(holds(f'address :{part} :is "from" "{value}"', acm), part)

    def test_extended_example(self) -> None:
        """Section 9."""
        script = """
            require ["fileinto"];
            if header :is "Sender" "owner-ietf-mta-filters@imc.org" { fileinto "filter"; }
            elsif address :DOMAIN :is ["From", "To"] "example.com" { keep; }
            elsif anyof (NOT address :all :contains ["To", "Cc", "Bcc"] "me@example.com",
                         header :matches "subject" ["*make*money*fast*", "*university*dipl*mas*"]) { fileinto "spam"; }
            else { fileinto "personal"; }"""
        own = "To: me@Example.COM"
        self.assertEqual(wants(script, mail("Sender: owner-ietf-mta-filters@imc.org")), ["into filter"])
        self.assertEqual(wants(script, mail("From: boss@example.com")), ["keep"])
        self.assertEqual(wants(script, mail("From: a@b.org", "To: you@b.org")), ["into spam"])
        self.assertEqual(wants(script, mail("From: a@b.org", "Cc: me@example.com", "Subject: x")), ["into personal"])
        self.assertEqual(wants(script, mail("From: a@b.org", own, "Subject: Make Money Fast!!!")), ["keep"])

    def test_encoded_characters(self) -> None:
        """Section 2.4.2.4, with its table of what is taken and what stays."""
        for written, meant in (
            ("$${hex:40}", "$@"),
            ("${hex: 40 }", "@"),
            ("${HEX: 40}", "@"),
            ("${hex:40", "${hex:40"),
            ("${hex:400}", "${hex:400}"),
            ("${hex:4${hex:30}}", "${hex:40}"),
            ("${unicode:40}", "@"),
            ("${ unicode:40}", "${ unicode:40}"),
            ("${UNICODE:40}", "@"),
            ("${UnICoDE:0000040}", "@"),
            ("${Unicode:40}", "@"),
            ("${unicode:Cool}", "${unicode:Cool}"),
        ):
            script = f'require ["encoded-character", "fileinto"]; fileinto "{written}";'
            self.assertEqual(wants(script), [f"into {meant}"], written)
        for beyond in ("200000", "DF01"):
            with self.assertRaises(ScriptError):
                compile_script(f'require "encoded-character"; redirect "${{unicode:{beyond}}}@x.example";'.encode())

    def test_null_path(self) -> None:
        """Section 5.4: an empty string for every part."""
        for part in ("all", "localpart", "domain", "user"):
            self.assertTrue(holds(f'envelope :{part} :is "from" ""', sender=""), part)


class VariableTests(SynchronousTestCase):
    """RFC 5229."""

    def test_references(self) -> None:
        """Section 3: what is one, and what stays."""
        head = 'require ["variables", "fileinto"]; set "company" "ACME";'
        for written, meant in (
            ("&%${}!", "&%${}!"),
            ("${doh!}", "${doh!}"),
            ("${company}", "ACME"),
            ("${President, ${Company} Inc.}", "${President, ACME Inc.}"),
            ("${CoMpAnY}x${nobody}y", "ACMExy"),
        ):
            self.assertEqual(wants(f'{head} fileinto "{written}";'), [f"into {meant}"], written)

    def test_namespaces(self) -> None:
        """Section 3: one that no extension brings is an error when the script is checked."""
        for script in (
            'require ["variables", "fileinto"]; fileinto "${org.ietf.me}";',
            'require ["variables", "fileinto"]; fileinto "${global.me}";',
            'require ["variables", "fileinto", "include"]; fileinto "${global.me.too}";',
        ):
            self.assertIn("no namespace", self.assertRaises(ScriptError, compile_script, script.encode()).text)
        self.assertEqual(wants('require "fileinto"; fileinto "${a.b}";'), ["into ${a.b}"])
        self.assertEqual(wants('require ["variables", "include", "fileinto"]; fileinto "x${global.b}";'), ["into x"])

    def test_match_variables(self) -> None:
        """Section 3.2, both examples."""
        script = """
            require ["fileinto", "variables"];
            if header :matches "List-ID" "*<*@*" { fileinto "INBOX.lists.${2}"; stop; }
            if header :matches ["To", "Cc"] ["coyote@**.com", "wile@**.com"] { fileinto "INBOX.business.${2}"; stop; }
            else { stop; }"""
        self.assertEqual(wants(script, mail("List-ID: Frobnitz <frob@lists.example>")), ["into INBOX.lists.frob"])
        message = mail("To: coyote@ACME.Example.COM")
        self.assertEqual(wants(script, message), ["into INBOX.business.ACME.Example"])

    def test_modifiers(self) -> None:
        """Section 4.1's table."""
        for modifiers, value, meant in (
            ("", "juMBlEd lETteRS", "juMBlEd lETteRS"),
            (":length", "juMBlEd lETteRS", "15"),
            (":lower", "juMBlEd lETteRS", "jumbled letters"),
            (":upperfirst", "juMBlEd lETteRS", "JuMBlEd lETteRS"),
            (":upperfirst :lower", "juMBlEd lETteRS", "Jumbled letters"),
            (":quotewildcard", "Rock*", "Rock\\*"),
        ):
            script = f'require ["variables", "fileinto"]; set {modifiers} "b" "{value}"; fileinto "${{b}}";'
            self.assertEqual(wants(script), [f"into {meant}"], modifiers)

    def test_url(self) -> None:
        """RFC 5435 section 6: ``:encodeurl``, where notifying is known; before the length, behind all else."""
        head = 'require ["enotify", "variables", "fileinto"];'
        script = head + 'set :encodeurl "b" "Safe body&evil=evilbody"; notify "mailto:tim@example.com?body=${b}";'
        self.assertEqual(wants(script)[0], "notify mailto:tim@example.com?body=Safe%20body%26evil%3Devilbody")
        self.assertEqual(wants(head + 'set :encodeurl :upper :length "x" "\u00fc-~ "; fileinto "${x}";'), ["into 11"])
        self.assertEqual(wants(head + 'set :encodeurl "x" "\u00fc-_.~ a"; fileinto "${x}";'), ["into %C3%BC-_.~%20a"])
        wrong = 'require "variables"; set :encodeurl "x" "y";'
        self.assertIn("enotify", self.assertRaises(ScriptError, compile_script, wrong.encode()).text)


class FlagTests(SynchronousTestCase):
    """RFC 5232."""

    def test_internal_variable(self) -> None:
        """Sections 3 and 5: what keep and fileinto take without flags of their own."""
        head = 'require ["imap4flags", "fileinto", "variables", "relational", "comparator-i;ascii-numeric"];'
        for script, wanted in (
            ('addflag "\\\\Deleted"; addflag ["\\\\Answered", "MyFlag"]; keep;', "keep \\Deleted \\Answered MyFlag"),
            ('setflag "\\\\Seen \\\\Seen"; removeflag "\\\\seen"; keep;', "keep"),
            ('setflag "\\\\Deleted"; fileinto "x"; ', "into x \\Deleted"),
            ('setflag "\\\\Deleted"; fileinto :flags "\\\\Answered" "x";', "into x \\Answered"),
            ('addflag "v" "a b"; fileinto :flags "${v}" "x";', "into x a b"),
            ('setflag "\\\\Seen";', "implicit \\Seen"),
        ):
            self.assertEqual(wants(head + script), [wanted], script)
        for test, answer in (
            ('hasflag :contains "MyVar" "Junk"', True),
            ('hasflag :contains "MyVar" "forward"', True),
            ('hasflag :contains "MyVar" ["label", "forward"]', True),
            ('hasflag :contains "MyVar" ["junk", "forward"]', True),
            ('hasflag :contains "MyVar" "label"', False),
            ('hasflag :count "ge" :comparator "i;ascii-numeric" "MyVar" "2"', True),
            ('hasflag :count "ge" :comparator "i;ascii-numeric" "MyVar" "3"', False),
        ):
            script = f'{head} setflag "MyVar" "NonJunk gnus-forward"; if {test} {{ fileinto "t"; }} else {{ fileinto "f"; }}'
            self.assertEqual(wants(script), [f"into {'t' if answer else 'f'}"], test)


class RelationalTests(SynchronousTestCase):
    """RFC 5231."""

    def test_counts(self) -> None:
        """Section 6's message: two in To, three in Cc."""
        message = mail(
            "Received: x", "Received: y", "Subject: example", "From: s@example.com",
            "To: foo@example.com, baz@example.com", "CC: qux@example.com",
        )  # fmt: skip
        number = ':comparator "i;ascii-numeric"'
        self.assertTrue(holds(f'address :count "ge" {number} ["to", "cc"] ["3"]', message))
        to, cc = (f'address :count "ge" {number} ["{name}"] ["{least}"]' for name, least in (("to", 3), ("cc", 1)))
        self.assertTrue(holds(f"anyof ({to}, {cc})", message))
        self.assertFalse(holds(f'address :count "ge" {number} ["to"] ["3"]', message))
        self.assertTrue(holds(f'header :count "ge" {number} ["received"] ["2"]', message))
        self.assertTrue(holds(f'header :count "gt" {number} ["received", "subject"] ["2"]', message))
        self.assertFalse(holds(f'header :count "ge" {number} ["to", "cc"] ["3"]', message))
        for relation, wanted in (("gt", False), ("ge", True), ("le", True), ("lt", False), ("eq", True), ("ne", False)):
            self.assertIs(holds(f'header :value "{relation}" "subject" "EXAMPLE"', message), wanted, relation)


class DateTests(SynchronousTestCase):
    """RFC 5260."""

    def test_date(self) -> None:
        """Sections 4.1 to 4.4: a zone of its own, the message's, and every part."""
        message = mail("Date: Fri, 20 Jun 2008 21:05:07 -0700")
        for part, value in (
            ("year", "2008"), ("month", "06"), ("day", "21"), ("date", "2008-06-21"), ("julian", "54638"), ("hour", "04"),
            ("minute", "05"), ("second", "07"), ("time", "04:05:07"), ("iso8601", "2008-06-21T04:05:07Z"),
            ("std11", "Sat, 21 Jun 2008 04:05:07 +0000"), ("zone", "+0000"), ("weekday", "6"),
        ):  # fmt: skip
            self.assertTrue(holds(f'date :zone "+0000" :is "date" "{part}" "{value}"', message), part)
        self.assertTrue(holds('date :originalzone :is "date" "hour" "21"', message))
        self.assertTrue(holds('date :value "ge" :originalzone "date" "hour" "09"', message))
        fields = ("Received: from a by b; Mon, 1 Jan 2001 00:00:00 +0000 (x)", "Received: by c; Tue, 2 Jan 2001 00:00:00 +0000")
        received = mail(*fields)
        self.assertTrue(holds('date :zone "+0000" :is "received" "weekday" "1"', received))
        self.assertTrue(holds('date :index 1 :last :zone "+0000" :is "received" "weekday" "2"', received))

    def test_current_date(self) -> None:
        """Section 5's examples."""
        now = datetime(2007, 7, 2, 9, 0, tzinfo=timezone(timedelta(hours=-7)))
        self.assertTrue(
            holds('allof (currentdate :value "ge" "date" "2007-06-30", currentdate :value "le" "date" "2007-07-07")', now=now)
        )
        self.assertTrue(holds('currentdate :zone "+0200" :is "hour" "18"', now=now))
        script = """require ["date", "variables", "fileinto"];
            if currentdate :matches "month" "*" { set "month" "${1}"; }
            if currentdate :matches "year"  "*" { set "year"  "${1}"; }
            fileinto "${month}-${year}";"""
        self.assertEqual(wants(script, now=now), ["into 07-2007"])
        script = """require ["variables", "date", "editheader"]; if currentdate :matches "std11" "*"
            { addheader "Processing-date" "${0}"; }"""
        self.assertEqual(wants(script, now=datetime(2026, 1, 1, tzinfo=UTC)), ["implicit"])


class NotifyTests(SynchronousTestCase):
    """RFC 5435 and 5436."""

    HEAD = 'require ["enotify", "fileinto", "variables"];'

    def test_example(self) -> None:
        """RFC 5436 section 3."""
        script = self.HEAD + """
            if header :contains "list-id" "knitting.example.com" {
              if header :matches "Subject" "[*] *" {
                notify :message "From ${1} list: ${2}" :importance "3" "mailto:0123456789@sms.example.net?to=backup@example.com";
              }
            }"""
        message = mail("List-Id: Knitting Mailing List <knitting.example.com>", "Subject: [Knitting] A new sweater")
        self.assertEqual(wants(script, message), ["notify mailto:0123456789@sms.example.net?to=backup@example.com", "implicit"])

    def test_valid_methods(self) -> None:
        """RFC 5435 section 4: all of them, by the letter of their URIs; section 5: nobody knows who is there."""
        self.assertFalse(holds('valid_notify_method ["mailto:", "http://gw.example.net/notify?test"]'))
        self.assertTrue(holds('valid_notify_method ["mailto:a@b.example"]'))
        self.assertTrue(holds('notify_method_capability "mailto:a@b.example" "Online" "maybe"'))
        self.assertFalse(holds('notify_method_capability "mailto:a@b.example" "Online" "yes"'))

    def test_not_of_what_programs_write(self) -> None:
        """RFC 5436 section 2.7: such mail notifies nobody; mail without a sender does."""
        script = self.HEAD + 'notify "mailto:a@b.example";'
        for value, wanted in (("auto-replied", ["implicit"]), ("no", ["notify mailto:a@b.example", "implicit"])):
            self.assertEqual(wants(script, mail(f"Auto-Submitted: {value}; x")), wanted)
        self.assertEqual(len(wants(script, mail("Subject: x"), sender="")), 2)

    def test_once(self) -> None:
        """RFC 5436 section 2.7: the same notification is sent once; different ones are different."""
        one = 'notify :message "x" "mailto:a@b.example";'
        script = self.HEAD + one + one + 'notify :message "y" "mailto:a@b.example";'
        self.assertEqual(wants(script), ["notify mailto:a@b.example"] * 2 + ["implicit"])


class OtherTests(SynchronousTestCase):
    """One or two of each of the rest."""

    def test_subaddress(self) -> None:
        """RFC 5233 section 5, with the separator that is ours."""
        message = mail("To: ken+sieve@example.org")
        self.assertTrue(holds('address :user "to" "ken"', message))
        self.assertTrue(holds('address :detail :contains ["to", "cc"] "SIEVE"', message))
        self.assertFalse(holds('address :detail "to" ""', mail("To: ken@example.org")))
        self.assertTrue(holds('address :detail "to" ""', mail("To: ken+@example.org")))

    def test_body(self) -> None:
        """RFC 5173 section 5: raw is the undecoded text, content is by media type."""
        parts = ("Content-Type: text/plain\r\n\r\nMAKE MONEY", "Content-Type: application/msword\r\n\r\nx")
        body = "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--\r\n"
        message = mail("MIME-Version: 1.0", "Content-Type: multipart/mixed; boundary=b", body=body)
        self.assertTrue(holds('body :raw :contains "MAKE MONEY"', message))
        self.assertTrue(holds('body :content ["audio", "image", "text"] :contains "make"', message))
        self.assertTrue(holds('body :content "application" :contains ""', message))
        self.assertFalse(holds('body :content "image" :contains ""', message))
        self.assertTrue(holds('not body :text :contains "project schedule"', message))

    def test_index(self) -> None:
        """RFC 5260 section 6."""
        message = mail("X-A: 1", "X-A: 2", "X-A: 3")
        for tags, value in ((":index 1", "1"), (":index 3", "3"), (":index 1 :last", "3"), (":index 3 :last", "1")):
            self.assertTrue(holds(f'header {tags} "x-a" "{value}"', message), tags)
        self.assertFalse(holds('header :index 4 :matches "x-a" "*"', message))

    def test_edited_header(self) -> None:
        """RFC 5293: later tests see what was changed; Received stays."""
        script = """require ["editheader", "fileinto"];
            deleteheader :index 1 :contains "Delivered-To" "bob@example.com"; deleteheader "Received";
            addheader :last "X-New" "1";
            if allof (header :is "X-New" "1", exists "Received", not exists "Delivered-To") { fileinto "t"; }"""
        self.assertEqual(wants(script, mail("Received: x", "Delivered-To: bob@example.com")), ["into t"])

    def test_reject(self) -> None:
        """RFC 5429 sections 2.2 and 2.4: alone, and with a text that is as long as it wants."""
        script = """require ["reject"];
            if size :under 10M { reject text:
Your message is too big.
..
.
; }"""
        self.assertEqual(wants(script), ["reject Your message is too big.\r\n.\r\n"])
        own = mail("To: roadrunner@acme.example.com")
        for other in ('fileinto "x"', 'vacation "x"', "keep", 'redirect "a@b.example"'):
            script = f'require ["reject", "fileinto", "vacation"]; {other}; reject "no";'
            self.assertIn("error", wants(script, own)[0], other)

    def test_duplicate(self) -> None:
        """RFC 7352 section 5."""
        script = """require ["duplicate", "variables", "fileinto"];
            if header :matches "subject" "ALERT: *" { if duplicate :seconds 60 :uniqueid "${1}" { fileinto "again"; } }"""
        self.assertEqual(wants(script, mail("Subject: ALERT: x")), ["implicit"])
        self.assertEqual(wants(script, mail("Subject: ALERT: x"), seen=lambda _: True), ["into again"])

    def test_i_have(self) -> None:
        """RFC 5463 sections 4 and 5."""
        script = 'require "ihave"; if ihave ["editheader", "fileinto"] { fileinto "x"; } else { error "no"; }'
        self.assertEqual(wants(script), ["into x"])
        self.assertEqual(wants('require "ihave"; if ihave "vnd.none" { none "x"; } else { error "no"; }'), ["error line 1: no"])
        self.assertEqual(wants('require "ihave"; if not ihave "vnd.none" { keep; }'), ["keep"])

    def test_mailboxes(self) -> None:
        """RFC 5490 section 3 and RFC 8579 section 4."""
        script = """require ["fileinto", "mailbox", "special-use", "variables"];
            if mailboxexists "Partners" { fileinto "Partners"; } else { fileinto :create "New"; }
            if specialuse_exists "\\\\Archive" { fileinto :specialuse "\\\\Archive" "INBOX/Archive"; }"""
        self.assertEqual(wants(script, has_mailbox=lambda name: False, has_use=lambda *_: False), ["into New create"])
        self.assertEqual(
            wants(script, has_mailbox=lambda name: True, has_use=lambda *_: True), ["into Partners", "into INBOX/Archive"]
        )

    def test_environment(self) -> None:
        """RFC 5183 section 4: what is not known never matches, not even everything."""
        self.assertFalse(holds('environment :matches "vnd.none" "*"'))
        self.assertTrue(holds('environment :is "location" "MDA"'))
        self.assertTrue(holds('environment :contains "name" ""'))
