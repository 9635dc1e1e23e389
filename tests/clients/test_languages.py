"""The mail and file libraries of Ruby, PHP and Perl, each in a program that prints what it was told as JSON."""

from __future__ import annotations

import json
from typing import Any

from tests.clients.demo import DemoCase, sample
from tests.clients.peers import library

RUBY = r"""
require 'json'
require 'net/ftp'
require 'net/imap'
require 'net/smtp'
ports, ca = JSON.parse(ARGV[0]), ARGV[1]
said = {}
smtp = Net::SMTP.new('localhost', ports['submission'])
trust = OpenSSL::SSL::SSLContext.new
trust.set_params(ca_file: ca)
smtp.enable_starttls(trust)
address = 'brandon@example.com'
smtp.start('ruby.example', 'brandon', 'atigdng', :login) { |one| one.send_message($stdin.read, address, address) }
imap = Net::IMAP.new('localhost', port: ports['imap'])
imap.starttls({ca_file: ca})
imap.login('brandon', 'atigdng')
said[:namespace] = imap.namespace.personal.map(&:prefix)
imap.create('Rubin')
imap.subscribe('Rubin')
said[:names] = imap.list('', '*').map(&:name)
said[:status] = imap.status('INBOX', %w[MESSAGES UNSEEN HIGHESTMODSEQ SIZE])['MESSAGES']
said[:roots] = imap.getquotaroot('INBOX').first.quotaroots
said[:rights] = imap.getacl('INBOX').map(&:user)
imap.select('INBOX')
letter = imap.search(['SUBJECT', 'from ruby'])
said[:quoted] = imap.uid_search(['UID', '1:*'])
items = %w[ALL FULL FAST ENVELOPE BODY BODYSTRUCTURE RFC822 RFC822.HEADER RFC822.TEXT INTERNALDATE MODSEQ]
items.push('BODY.PEEK[HEADER]', 'BODY.PEEK[1.MIME]').each do |item|
  (said[:fetched] ||= {})[item] = imap.fetch(1..-1, item).size
end
said[:disposition] = imap.fetch(letter, 'BODYSTRUCTURE').first.attr['BODYSTRUCTURE'].parts.last.disposition.param
%w[ARRIVAL DATE FROM SIZE SUBJECT].each { |key| (said[:sorted] ||= {})[key] = imap.sort(['REVERSE', key], ['ALL'], 'UTF-8') }
flat = ->(one) { [one.seqno, *one.children.flat_map(&flat)].compact }
said[:threads] = %w[REFERENCES ORDEREDSUBJECT].map { |how| imap.thread(how, ['ALL'], 'UTF-8').flat_map(&flat).sort }
said[:flags] = imap.store(1, '+FLAGS', [:Flagged, 'ruby']).first.attr['FLAGS']
imap.copy(1..2, 'Rubin')
imap.move(1, 'Rubin')
moment = Time.at(1_234_567_890)
imap.append('INBOX', "Subject: appended\r\n\r\nx\r\n", [:Seen], moment)
said[:appended] = imap.uid_fetch(imap.uid_search(['SUBJECT', 'appended']), 'INTERNALDATE').first.attr['INTERNALDATE']
other = Thread.new do
  sleep 0.2
  two = Net::IMAP.new('localhost', port: ports['imaps'], ssl: {ca_file: ca})
  two.authenticate('PLAIN', 'brandon', 'atigdng')
  two.append('INBOX', "Subject: told\r\n\r\nx\r\n")
  two.logout
  two.disconnect
end
imap.idle(30) { |told| imap.idle_done if told.is_a?(Net::IMAP::UntaggedResponse) && told.name == 'EXISTS' }
other.join
imap.store(1..-1, '+FLAGS.SILENT', [:Deleted])
said[:expunged] = imap.expunge.size
said[:left] = imap.search(['ALL'])
imap.close
imap.logout
ftp = Net::FTP.new('localhost', port: ports['ftp'], ssl: {ca_file: ca}, username: 'brandon', password: 'atigdng')
File.binwrite('near.bin', (0..255).to_a.pack('C*') * 300)
ftp.putbinaryfile('near.bin', 'ruby.bin')
ftp.getbinaryfile('ruby.bin', 'back.bin')
File.truncate('back.bin', 1000)
ftp.resume = true
ftp.getbinaryfile('ruby.bin', 'back.bin')
said[:file] = File.binread('back.bin') == File.binread('near.bin')
said[:size] = ftp.mlst('ruby.bin').size
said[:listed] = ftp.mlsd.map(&:pathname)
ftp.delete('ruby.bin')
ftp.quit
puts JSON.generate(said)
"""

PHP = r"""<?php
$ports = json_decode($argv[1], true);
$where = '{localhost:' . $ports['imaps'] . '/imap/ssl/novalidate-cert}';
$said = [];
$mail = imap_open($where . 'INBOX', 'brandon', 'atigdng');
$said['boxes'] = array_map(fn($one) => substr($one, strlen($where)), imap_list($mail, $where, '*'));
imap_createmailbox($mail, $where . 'B&APw-ro &- Co');
imap_append($mail, $where . 'B&APw-ro &- Co', "Subject: x\r\n\r\nhi\r\n", '\\Seen', '31-Jan-2020 10:11:12 +0100');
$said['status'] = imap_status($mail, $where . 'B&APw-ro &- Co', SA_ALL)->messages;
imap_append($mail, $where . 'INBOX', stream_get_contents(STDIN));
imap_ping($mail);
$said['messages'] = imap_num_msg($mail);
$said['overview'] = count(imap_fetch_overview($mail, '1:*'));
$parts = imap_fetchstructure($mail, $said['messages'])->parts;
$said['part'] = [$parts[1]->subtype, $parts[1]->bytes, $parts[1]->dparameters[0]->value];
$said['octets'] = strlen(base64_decode(imap_fetchbody($mail, $said['messages'], '2', FT_PEEK)));
$said['found'] = imap_search($mail, 'SUBJECT "php" SINCE "1 January 2009"', SE_UID, 'UTF-8');
$said['sorted'] = imap_sort($mail, SORTSIZE, true, SE_UID, 'ALL', 'UTF-8');
$said['threads'] = count(imap_thread($mail, SE_UID));
imap_setflag_full($mail, '1', '\\Flagged');
$said['flagged'] = imap_search($mail, 'FLAGGED');
imap_mail_move($mail, '1', 'Trash');
imap_expunge($mail);
$said['left'] = imap_num_msg($mail);
$said['rights'] = array_keys(imap_getacl($mail, 'INBOX'));
imap_close($mail);
$pop = imap_open('{localhost:' . $ports['pop3s'] . '/pop3/ssl/novalidate-cert}INBOX', 'brandon', 'atigdng');
$said['popped'] = imap_num_msg($pop);
imap_close($pop);
$said['errors'] = imap_errors();
$ftp = ftp_ssl_connect('localhost', $ports['ftp'], 30);
ftp_login($ftp, 'brandon', 'atigdng');
ftp_pasv($ftp, true);
file_put_contents('near.bin', str_repeat('php and ftp', 20000));
$going = ftp_nb_put($ftp, 'php.bin', 'near.bin', FTP_BINARY);
while ($going == FTP_MOREDATA) $going = ftp_nb_continue($ftp);
ftp_get($ftp, 'back.bin', 'php.bin', FTP_BINARY);
$said['file'] = [$going == FTP_FINISHED, md5_file('back.bin') == md5_file('near.bin'), ftp_size($ftp, 'php.bin')];
$said['listed'] = array_column(ftp_mlsd($ftp, '.'), 'name');
$said['names'] = ftp_nlist($ftp, '.');
ftp_delete($ftp, 'php.bin');
ftp_close($ftp);
echo json_encode($said);
"""

PERL = r"""
use strict;
use warnings;
use JSON::PP;
use Mail::IMAPClient;
use Net::FTP;
use Net::SMTP;
my ($ports, $ca) = (decode_json($ARGV[0]), $ARGV[1]);
my %trust = (SSL_ca_file => $ca);
my %said;
my $smtp = Net::SMTP->new('localhost', Port => $ports->{smtp}) or die $@;
$smtp->starttls(%trust) or die $smtp->message;
$smtp->mail('someone@elsewhere.example');
$smtp->to('brandon@example.com');
$smtp->data;
$smtp->datasend($_) for <STDIN>;
$smtp->dataend or die $smtp->message;
$smtp->quit;
my $imap = Mail::IMAPClient->new(
    Server => 'localhost', Port => $ports->{imaps}, Ssl => [%trust], User => 'brandon', Password => 'atigdng', Uid => 1
) or die $@;
$imap->select('INBOX') or die $imap->LastError;
$said{folders} = [$imap->folders];
my ($uid) = $imap->search(SUBJECT => \'"from perl"');
$said{subject} = $imap->get_header($uid, 'Subject');
$said{size} = length $imap->message_string($uid);
$said{parts} = scalar(() = $imap->get_bodystructure($uid)->bodystructure);
my $all = $imap->fetch_hash('FLAGS', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE');
$said{fetched} = scalar keys %$all;
$said{sorted} = scalar($imap->sort('REVERSE SUBJECT', 'UTF-8', 'ALL'));
$imap->create('Perle');
$said{appended} = $imap->append_string('Perle', "Subject: x\r\n\r\nhi\r\n", '\\Seen', ' 1-Feb-2020 10:11:12 +0100');
$imap->move('Perle', $uid);
$imap->expunge;
$imap->select('Perle');
$said{moved} = 0 + $imap->message_count;
$said{rights} = [sort keys %{$imap->getacl('Perle')}];
$imap->compress or die $imap->LastError;
$imap->noop or die $imap->LastError;
$imap->logout;
for my $passive (0, 1) {
    my $ftp = Net::FTP->new('localhost', Port => $ports->{ftp}, Passive => $passive, %trust) or die $@;
    $ftp->starttls or die $ftp->message if $passive;
    $ftp->login('brandon', 'atigdng') or die $ftp->message;
    $ftp->binary;
    $ftp->put($0, 'perl.txt') or die $ftp->message;
    my $made = $ftp->put_unique($0, 'perl.txt') or die $ftp->message;
    $ftp->append($0, 'perl.txt') or die $ftp->message;
    $ftp->get('perl.txt', 'back.txt', 0) or die $ftp->message;
    push @{$said{files}}, [$ftp->size('perl.txt') / -s $0, (-s 'back.txt') / -s $0, $ftp->size($made) / -s $0];
    push @{$said{listed}}, [grep { /^perl/ } $ftp->ls];
    $ftp->rename('perl.txt', 'perl2.txt') or die $ftp->message;
    $ftp->delete($_) or die $ftp->message for 'perl2.txt', $made;
    $ftp->quit;
}
print encode_json(\%said);
"""


class LanguageTests(DemoCase):
    """Each against a demo of its own, in which brandon has three messages."""

    def told(self, interpreter: str, source: str, subject: str) -> Any:
        """What a program says that reads a message with this subject."""
        ports = {name: service["port"] for name, service in self.demo.told["services"].items()}
        program = self.write("program", source)
        said = self.run_program(interpreter, str(program), json.dumps(ports), self.demo.ca_file, said=sample(subject))
        return json.loads(said)

    def test_ruby(self) -> None:
        """net/smtp, net/imap, whose parser is strict, and net/ftp."""
        said = self.told("ruby", RUBY, "from ruby")
        self.assertEqual(said["namespace"], [""])
        self.assertEqual(said["names"], ["INBOX", "Archive", "Drafts", "Junk", "Rubin", "Sent", "Trash"])
        self.assertEqual((said["status"], said["roots"], said["rights"]), (4, ["brandon"], ["brandon"]))
        self.assertEqual(said["quoted"], [1, 2, 3, 4])
        self.assertEqual(set(said["fetched"].values()), {4})
        self.assertEqual(said["disposition"], {"FILENAME": "all.bin"})
        for key, numbers in said["sorted"].items():
            self.assertEqual(sorted(numbers), [1, 2, 3, 4], key)
        self.assertEqual(said["sorted"]["SIZE"], [4, 3, 2, 1])
        self.assertEqual(said["threads"], [[1, 2, 3, 4]] * 2)
        self.assertEqual(set(said["flags"]) - {"Seen", "Recent"}, {"Flagged", "ruby"})
        self.assertEqual(said["appended"], "13-Feb-2009 23:31:30 +0000")
        self.assertEqual((said["expunged"], said["left"]), (6, []))
        self.assertEqual((said["file"], said["size"], said["listed"]), (True, 76_800, ["quests", "ruby.bin", "welcome.txt"]))

    def test_php(self) -> None:
        """php-imap, which is c-client, over IMAP and POP3, and PHP's FTP."""
        library("php-imap", "php", "-r", "exit(extension_loaded('imap') ? 0 : 1);")
        said = self.told("php", PHP, "from php")
        self.assertEqual(said["boxes"], ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"])
        self.assertEqual((said["status"], said["messages"], said["overview"]), (1, 4, 4))
        self.assertEqual((said["part"][0], said["part"][2], said["octets"]), ("OCTET-STREAM", "all.bin", 10_240))
        self.assertEqual((said["found"], said["sorted"]), ([4], [4, 3, 2, 1]))
        self.assertEqual((said["flagged"], said["left"], said["popped"], said["rights"]), ([1], 3, 3, ["brandon"]))
        self.assertEqual(said["errors"], False)
        self.assertEqual(said["file"], [True, True, 220_000])
        self.assertEqual(said["listed"], ["php.bin", "quests", "welcome.txt"])
        self.assertEqual(said["names"], ["php.bin", "quests", "welcome.txt"])

    def test_perl(self) -> None:
        """Net::SMTP, Mail::IMAPClient and Net::FTP, active in the clear and passive inside TLS."""
        library("libmail-imapclient-perl", "perl", "-MMail::IMAPClient", "-e", "1")
        library("libio-socket-ssl-perl", "perl", "-MIO::Socket::SSL", "-e", "1")
        said = self.told("perl", PERL, "from perl")
        self.assertEqual(said["folders"], ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"])
        self.assertEqual((said["subject"], said["parts"], said["fetched"]), ("from perl", 2, 4))
        self.assertGreater(said["size"], len(sample("from perl")))
        self.assertEqual((said["moved"], said["rights"]), (2, ["brandon"]))
        self.assertEqual(said["files"], [[2, 2, 1]] * 2)
        for listed in said["listed"]:
            self.assertEqual(len(listed), 2)
            self.assertEqual(listed, sorted(listed))
