"""
What every :class:`launcelot.accounts.interface.Directory` does, as a mixin of tests.

A test case that uses it gives :meth:`DirectoryContract.make_directory`; its directory is made of the domains and the ids
it is handed and answers without waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from launcelot.accounts.interface import Account, Alias, Directory
from launcelot.core.errors import BadCredentials, Exists, Invalid, NotFound, Refusal
from launcelot.message.address import Address, parse_mailbox

T = TypeVar("T")

DOMAINS = ("example.org", "Second.Example", "b\u00fccher.example")

NASTY = ("o'brien", "x'--", "drop'{}", "a'or'1'='1", "$where", "{0}", "!#$&'^{}~=")
"""Lawful names with what SQL, shells and formats give a meaning to."""


def at(text: str) -> Address:
    """An address; ``example.org`` where no domain is given."""
    return parse_mailbox(text if "@" in text else f"{text}@example.org")


def count(start: int = 1) -> Callable[[], str]:
    """Ids that are told apart easily."""
    numbers: Iterator[int] = iter(range(start, 1_000_000))
    return lambda: f"id{next(numbers)}"


class DirectoryContract(SynchronousTestCase):
    """The tests; a subclass gives the directory."""

    def make_directory(self, domains: Sequence[str], ids: Callable[[], str]) -> Directory:
        """A new, empty directory."""
        raise NotImplementedError

    def setUp(self) -> None:
        """An empty directory."""
        self.directory = self.make_directory(DOMAINS, count())
        self.addCleanup(lambda: self.now(self.directory.close()))

    def now(self, asked: Coroutine[Any, Any, T]) -> T:
        """What a directory answers, at once."""
        return self.successResultOf(Deferred.fromCoroutine(asked))

    def refused(self, asked: Coroutine[Any, Any, Any], kind: type[Refusal]) -> str:
        """The text of the refusal a directory answers with."""
        failure = self.failureResultOf(Deferred.fromCoroutine(asked))
        self.assertIs(failure.type, kind)
        return str(failure.value)

    def add(self, name: str, address: str = "", password: str = "pw", quota: int = 0) -> Account:
        """A new account, at its own name unless told otherwise."""
        return self.now(self.directory.add(name, at(address or name), password, quota))

    def alias(self, address: str, *targets: str) -> Alias:
        """A new alias; a local part of ``*`` is the catch-all."""
        return self.now(self.directory.add_alias(at(address), [at(target) for target in targets]))

    def receivers(self, address: str) -> list[tuple[str, str]]:
        """Name and detail of everybody who receives mail for an address."""
        found = self.now(self.directory.resolve(at(address)))
        for one in found:
            self.assertEqual(one.address, at(address))
        return [(one.account.name, one.detail) for one in found]

    def nobody(self, address: str) -> None:
        """Nobody receives mail for an address."""
        self.refused(self.directory.resolve(at(address)), NotFound)


class AccountContract(DirectoryContract):
    """Accounts are made, found, changed and removed."""

    def test_added_account_is_what_was_asked_for(self) -> None:
        """Everything handed in is kept."""
        account = self.add("ann", "Ann.Smith@example.org", quota=5_000)
        self.assertEqual(account, Account(account.id, "ann", at("Ann.Smith@example.org"), 5_000, True))
        self.assertEqual(self.now(self.directory.account("ann")), account)

    def test_account_is_found_by_any_spelling(self) -> None:
        """By name and by primary address, in any case and form."""
        ann = self.add("ann", "Ann.Smith@b\u00fccher.example")
        for spelling in (
            "ann",
            "ANN",
            "ann.smith@b\u00fccher.example",
            "ANN.SMITH@B\u00dcCHER.EXAMPLE",
            "ann.smith@xn--bcher-kva.example",
        ):
            self.assertEqual(self.now(self.directory.account(spelling)), ann)

    def test_account_is_not_found_by_what_is_not_its_name(self) -> None:
        """Neither by a part, a pattern, an alias, a detail nor what cannot be a name."""
        self.add("ann", "ann.smith")
        self.alias("sales", "ann.smith")
        for name in (
            "",
            "an",
            "a%",
            "an_",
            "*",
            "ann+x",
            "ann@example.org",
            "ann.smith",
            "ann.smith+x@example.org",
            "sales@example.org",
            "@",
            "ann@",
            "ann\0",
            "ann ",
            "' or 1=1 --",
            "a" * 100_000,
            "\ud800",
        ):
            self.refused(self.directory.account(name), NotFound)

    def test_accounts_are_listed_by_name(self) -> None:
        """All of them, sorted."""
        self.assertEqual(list(self.now(self.directory.accounts())), [])
        made = [self.add(name) for name in ("carl", "ann", "bob")]
        self.assertEqual(list(self.now(self.directory.accounts())), sorted(made, key=lambda one: one.name))

    def test_nasty_names_are_ordinary(self) -> None:
        """What means something to SQL means nothing here (case A08)."""
        made = [self.add(name, password=f"pw of {name}") for name in NASTY]
        for account in made:
            self.assertEqual(self.now(self.directory.account(account.name)), account)
            self.assertEqual(self.now(self.directory.check_password(account.name, f"pw of {account.name}")), account)
            self.assertEqual(self.receivers(account.name), [(account.name, "")])
        self.alias("all'--", *NASTY)
        self.assertEqual([name for name, _ in self.receivers("all'--")], list(NASTY))
        self.now(self.directory.remove(NASTY[0]))
        self.assertEqual(len(self.now(self.directory.accounts())), len(NASTY) - 1)

    def test_taken_name_or_address_is_refused(self) -> None:
        """Each once over accounts and aliases, however spelled; and the first stays as it is."""
        ann = self.add("ann", "Ann.Smith@b\u00fccher.example")
        self.add("bob")
        self.alias("sales", "bob")
        for name, address in (
            ("ann", "other"),
            ("new", "ann.smith@xn--bcher-kva.example"),
            ("new", "SALES@EXAMPLE.ORG"),
            ("ann", "ann.smith@b\u00fccher.example"),
        ):
            self.refused(self.directory.add(name, at(address), "other pw"), Exists)
        self.assertEqual(self.now(self.directory.check_password("ann", "pw")), ann)
        self.assertEqual(len(self.now(self.directory.accounts())), 2)

    def test_names_that_are_not_canonical_are_refused(self) -> None:
        """An account is only made under the one form of its name; lawful but other spellings are told."""
        for name in ("", "Ann", "jose\u0301", "a/b", "..", "a b", "a\0", "a@example.org", "\u202eann", "a" * 65):
            self.refused(self.directory.add(name, at("ann"), "pw"), Invalid)
        self.assertIn("'ann'", self.refused(self.directory.add("Ann", at("ann"), "pw"), Invalid))
        self.assertEqual(list(self.now(self.directory.accounts())), [])

    def test_impossible_accounts_are_refused(self) -> None:
        """Foreign or malformed addresses, catch-alls, no or too long passwords, negative quotas."""
        add = self.directory.add
        for address in (
            at("ann@elsewhere.example"),
            at("ann@sub.example.org"),
            Address("ann", ""),
            Address("", "example.org"),
            Address("a" * 65, "example.org"),
            Address("ann\u202e", "example.org"),
            at("*"),
        ):
            self.refused(add("ann", address, "pw"), Invalid)
        for password in ("", "p" * 1025, "\u00e9" * 513, "a\0b"):
            self.refused(add("ann", at("ann"), password), Invalid)
        for quota in (-1, 1 << 63):
            self.refused(add("ann", at("ann"), "pw", quota), Invalid)
        self.assertEqual(list(self.now(self.directory.accounts())), [])

    def test_largest_quota_is_kept(self) -> None:
        """Octets are counted in 63 bits."""
        self.add("ann", quota=(1 << 63) - 1)
        self.assertEqual(self.now(self.directory.account("ann")).quota, (1 << 63) - 1)

    def test_removed_account_is_gone(self) -> None:
        """Nobody finds it, logs in as it or reaches it; and what was removed is told."""
        ann = self.add("ann")
        self.assertEqual(self.now(self.directory.remove("ANN@example.org")), ann)
        self.refused(self.directory.account("ann"), NotFound)
        self.refused(self.directory.check_password("ann", "pw"), BadCredentials)
        self.nobody("ann")
        self.refused(self.directory.remove("ann"), NotFound)
        self.assertEqual(list(self.now(self.directory.accounts())), [])

    def test_removed_name_and_address_are_free_again(self) -> None:
        """A namesake is another account."""
        old = self.add("ann")
        self.now(self.directory.remove("ann"))
        new = self.add("ann", password="new")
        self.assertNotEqual(old.id, new.id)
        self.refused(self.directory.check_password("ann", "pw"), BadCredentials)
        self.assertFalse(self.now(self.directory.may_send_as(old, at("ann"))))

    def test_ids_are_never_reused(self) -> None:
        """An id that was ever given is drawn again, also that of a removed account."""
        drawn = iter(["one", "one", "two", "one", "two", "three"])
        directory = self.make_directory(DOMAINS, lambda: next(drawn))
        self.addCleanup(lambda: self.now(directory.close()))
        first = self.now(directory.add("ann", at("ann"), "pw"))
        second = self.now(directory.add("bob", at("bob"), "pw"))
        self.now(directory.remove("ann"))
        third = self.now(directory.add("carl", at("carl"), "pw"))
        self.assertEqual([first.id, second.id, third.id], ["one", "two", "three"])

    def test_quota_and_enabled_are_changed_apart(self) -> None:
        """What is not named stays; and a missing account or a negative quota is refused."""
        self.add("ann", quota=7)
        self.assertEqual(self.now(self.directory.change("Ann", quota=9)).quota, 9)
        changed = self.now(self.directory.change("ann", enabled=False))
        self.assertEqual((changed.quota, changed.enabled), (9, False))
        self.assertEqual(self.now(self.directory.account("ann")), changed)
        self.assertEqual(self.now(self.directory.change("ann", quota=0, enabled=True)).quota, 0)
        self.refused(self.directory.change("ann", quota=-1), Invalid)
        self.refused(self.directory.change("ann", messages=-1), Invalid)
        changed = self.now(self.directory.change("ann", messages=5, administrator=True))
        self.assertEqual((changed.quota, changed.enabled, changed.messages, changed.administrator), (0, True, 5, True))
        self.assertFalse(self.now(self.directory.change("ann", administrator=False)).administrator)
        self.assertEqual(self.now(self.directory.account("ann")), self.now(self.directory.accounts())[0])
        self.assertEqual(self.now(self.directory.account("ann")).messages, 5)
        self.refused(self.directory.change("bob", quota=1), NotFound)


class PasswordContract(DirectoryContract):
    """Passwords are checked, and nothing tells why one did not fit."""

    def test_right_password_gives_the_account(self) -> None:
        """By name or primary address, in any spelling, again and again."""
        ann = self.add("ann", "ann.smith", "s\u00e9cret")
        for name in ("ann", "ANN", "ann.smith@example.org", "Ann.Smith@EXAMPLE.org", "ann"):
            self.assertEqual(self.now(self.directory.check_password(name, "s\u00e9cret")), ann)
        self.assertEqual(self.now(self.directory.check_password("ann", "se\u0301cret")), ann)

    def test_everything_else_is_refused_in_the_same_words(self) -> None:
        """Wrong, empty, foreign or endless passwords; unknown, endless, disabled and impossible names (case A02)."""
        self.add("ann")
        self.add("bob", password="bob's")
        self.add("off")
        self.now(self.directory.change("off", enabled=False))
        self.alias("sales", "ann")
        texts = {
            self.refused(self.directory.check_password(name, password), BadCredentials)
            for name, password in (
                ("ann", "PW"),
                ("ann", "pw "),
                ("ann", ""),
                ("ann", "bob's"),
                ("ann", "p" * 1_000_000),
                ("ann", "pw\0"),
                ("ann", "\ud800"),
                ("nobody", "pw"),
                ("nobody", ""),
                ("", "pw"),
                ("sales@example.org", "pw"),
                ("ann+x@example.org", "pw"),
                ("off", "pw"),
                ("off", "wrong"),
                ("ann\0", "pw"),
                ("' or '1'='1", "pw"),
                ("n" * 1_000_000, "pw"),
                ("\ud800", "pw"),
            )
        }
        self.assertEqual(texts, {"authentication failed"})

    def test_new_password_counts_at_once(self) -> None:
        """The old one is wrong, even if it was right a moment ago (case A12)."""
        self.add("ann")
        self.now(self.directory.check_password("ann", "pw"))
        self.now(self.directory.set_password("ANN", "new"))
        self.refused(self.directory.check_password("ann", "pw"), BadCredentials)
        self.now(self.directory.check_password("ann", "new"))

    def test_disabled_account_is_out_at_once(self) -> None:
        """And back when it is enabled again (case A12)."""
        self.add("ann")
        self.now(self.directory.check_password("ann", "pw"))
        self.now(self.directory.change("ann", enabled=False))
        self.refused(self.directory.check_password("ann", "pw"), BadCredentials)
        self.now(self.directory.change("ann", enabled=True))
        self.now(self.directory.check_password("ann", "pw"))

    def test_passwords_do_not_cross_accounts(self) -> None:
        """A, then B with A's password (case A12)."""
        self.add("ann", password="ann's")
        self.add("bob", password="bob's")
        self.now(self.directory.check_password("ann", "ann's"))
        self.refused(self.directory.check_password("bob", "ann's"), BadCredentials)

    def test_impossible_passwords_are_not_set(self) -> None:
        """The old one stays; and there must be an account."""
        self.add("ann")
        for password in ("", "p" * 1025, "a\0b"):
            self.refused(self.directory.set_password("ann", password), Invalid)
        self.now(self.directory.check_password("ann", "pw"))
        self.refused(self.directory.set_password("bob", "pw"), NotFound)


class ResolutionContract(DirectoryContract):
    """Addresses lead to accounts."""

    def setUp(self) -> None:
        """Three accounts."""
        super().setUp()
        self.ann, self.bob, self.carl = self.add("ann"), self.add("bob"), self.add("carl", "carl@second.example")

    def test_primary_address_leads_to_its_account(self) -> None:
        """In any case of either part."""
        for spelling in ("ann", "ANN", "ann@EXAMPLE.ORG", "Ann@Example.Org"):
            self.assertEqual(self.receivers(spelling), [("ann", "")])

    def test_unknown_and_foreign_addresses_lead_nowhere(self) -> None:
        """Also a known local part under another domain, and a domain above or below ours."""
        for address in ("nobody", "carl", "ann@second.example", "ann@elsewhere.example", "ann@sub.example.org", "ann@org"):
            self.nobody(address)
        self.refused(self.directory.resolve(Address("postmaster", "")), NotFound)

    def test_detail_is_cut_off(self) -> None:
        """At the first plus sign; an empty detail is none."""
        self.assertEqual(self.receivers("ann+lists"), [("ann", "lists")])
        self.assertEqual(self.receivers("ANN+Lists+More"), [("ann", "Lists+More")])
        self.assertEqual(self.receivers("ann+"), [("ann", "")])
        self.nobody("+ann")
        self.nobody("nobody+ann")

    def test_exact_address_comes_before_detail(self) -> None:
        """An account or alias at an address with a plus sign gets its mail, not the one before the sign."""
        self.add("dora", "ann+dora")
        self.alias("ann+shop", "bob")
        self.assertEqual(self.receivers("ann+dora"), [("dora", "")])
        self.assertEqual(self.receivers("ann+shop"), [("bob", "")])
        self.assertEqual(self.receivers("ann+other"), [("ann", "other")])
        self.assertFalse(self.now(self.directory.may_send_as(self.ann, at("ann+dora"))))

    def test_aliases_are_followed_in_order_and_each_account_once(self) -> None:
        """Through aliases of aliases and over domains."""
        self.alias("both", "bob", "ann")
        self.alias("all@second.example", "both", "carl@second.example", "ann", "bob")
        self.assertEqual(self.receivers("both"), [("bob", ""), ("ann", "")])
        self.assertEqual(self.receivers("all@second.example"), [("bob", ""), ("ann", ""), ("carl", "")])

    def test_detail_goes_through_aliases(self) -> None:
        """The given one first, else that of the alias's target."""
        self.alias("team", "ann", "bob+team")
        self.alias("teams", "team")
        self.assertEqual(self.receivers("team"), [("ann", ""), ("bob", "team")])
        self.assertEqual(self.receivers("teams+x"), [("ann", "x"), ("bob", "x")])

    def test_catch_all_gets_what_nobody_else_has(self) -> None:
        """In its own domain only, and not what accounts, aliases or their details get."""
        self.alias("sales", "bob")
        self.alias("*", "ann")
        self.assertEqual(self.receivers("whatever"), [("ann", "")])
        self.assertEqual(self.receivers("whatever+x"), [("ann", "x")])
        self.assertEqual(self.receivers("bob"), [("bob", "")])
        self.assertEqual(self.receivers("sales+x"), [("bob", "x")])
        self.nobody("whatever@second.example")

    def test_every_domain_has_a_postmaster(self) -> None:
        """Whoever has the address; else the administrators, else the oldest account that is enabled; RFC 5321 section 4.5.1."""
        self.assertEqual(self.receivers("PostMaster"), [("ann", "")])
        self.assertEqual(self.receivers("postmaster+x@second.example"), [("ann", "")])
        self.now(self.directory.change("ann", enabled=False))
        self.assertEqual(self.receivers("postmaster"), [("bob", "")])
        self.now(self.directory.change("carl", administrator=True))
        self.assertEqual(self.receivers("postmaster"), [("carl", "")])
        self.alias("*", "bob")
        self.assertEqual(self.receivers("postmaster"), [("bob", "")])
        self.assertEqual(self.receivers("postmaster@second.example"), [("carl", "")])
        self.nobody("postmasters@second.example")

    def test_disabled_account_receives_nothing(self) -> None:
        """Its address is unknown, even with a catch-all, and aliases go to the others."""
        self.alias("both", "ann", "bob")
        self.alias("*", "bob")
        self.now(self.directory.change("ann", enabled=False))
        self.nobody("ann")
        self.nobody("ann+x")
        self.assertEqual(self.receivers("both"), [("bob", "")])
        self.now(self.directory.change("bob", enabled=False))
        self.nobody("both")
        self.nobody("whatever")

    def test_domains_are_ours_in_any_spelling(self) -> None:
        """Case does not matter, nor does U-label or A-label; neighbours are not ours."""
        for domain in ("example.org", "EXAMPLE.ORG", "second.example", "b\u00fccher.example", "xn--BCHER-kva.example"):
            self.assertTrue(self.directory.is_local(domain))
        for domain in ("", "org", "sub.example.org", "example.org.evil.example", "bucher.example", "[127.0.0.1]", "\ud800"):
            self.assertFalse(self.directory.is_local(domain))

    def test_account_may_send_as_what_it_receives(self) -> None:
        """Its own address and aliases, with and without detail, however spelled."""
        self.alias("sales", "ann")
        self.alias("shop@second.example", "sales")
        for address in ("ann", "Ann@EXAMPLE.ORG", "ann+x", "sales", "sales+x", "shop@second.example"):
            self.assertTrue(self.now(self.directory.may_send_as(self.ann, at(address))), address)

    def test_account_may_not_send_as_others(self) -> None:
        """Neither as other people, unknown or foreign addresses, nor once it is disabled or removed."""
        self.alias("bobs", "bob")
        for address in ("bob", "bobs", "bob+ann", "nobody", "ann@second.example", "ann@elsewhere.example", "annx"):
            self.assertFalse(self.now(self.directory.may_send_as(self.ann, at(address))), address)
        self.alias("*", "bob")
        self.assertFalse(self.now(self.directory.may_send_as(self.ann, at("nobody"))))
        self.assertTrue(self.now(self.directory.may_send_as(self.bob, at("nobody"))))
        self.now(self.directory.change("ann", enabled=False))
        self.assertFalse(self.now(self.directory.may_send_as(self.ann, at("ann"))))
        self.now(self.directory.remove("bob"))
        self.assertFalse(self.now(self.directory.may_send_as(self.bob, at("bob"))))


class AliasContract(DirectoryContract):
    """Aliases are made, listed, kept right and removed."""

    def setUp(self) -> None:
        """Two accounts."""
        super().setUp()
        self.ann, self.bob = self.add("ann"), self.add("bob")

    def listed(self) -> dict[str, list[str]]:
        """All aliases with their targets, as text."""
        aliases = self.now(self.directory.aliases())
        self.assertEqual([one.address.key for one in aliases], sorted(one.address.key for one in aliases))
        return {one.address.local: [target.local for target in one.targets] for one in aliases}

    def test_aliases_are_listed_by_address(self) -> None:
        """As they were written, sorted, with their targets in order and each once."""
        self.assertEqual(self.listed(), {})
        made = self.alias("Zoo", "bob", "Ann", "ANN", "bob+x")
        self.assertEqual(made, Alias(at("Zoo"), (at("bob"), at("ANN"), at("bob+x"))))
        self.alias("all", "zoo", "ann")
        self.assertEqual(self.listed(), {"all": ["zoo", "ann"], "Zoo": ["bob", "ANN", "bob+x"]})

    def test_taken_address_is_refused(self) -> None:
        """An account's or another alias's, in any spelling."""
        self.alias("sales", "ann")
        for address in ("ann", "BOB", "Sales"):
            self.refused(self.directory.add_alias(at(address), [at("bob")]), Exists)
        self.assertEqual(self.listed(), {"sales": ["ann"]})

    def test_missing_target_is_refused(self) -> None:
        """Unknown and caught-all targets; one is enough, and nothing is kept."""
        self.alias("*", "bob")
        for target in ("nobody", "ann@second.example"):
            self.refused(self.directory.add_alias(at("sales"), [at("ann"), at(target)]), NotFound)
        self.refused(self.directory.add_alias(at("sales"), [Address("postmaster", "")]), NotFound)
        self.assertEqual(self.listed(), {"*": ["bob"]})

    def forwards(self, address: str) -> list[tuple[str, str | None]]:
        """Where else mail for an address goes, and who looks after that."""
        found = self.now(self.directory.expand(at(address))).forwards
        return [(str(one.address), one.owner.local if one.owner is not None else None) for one in found]

    def test_targets_elsewhere(self) -> None:
        """Stand beside those here, through any number of aliases and each once; they are nobody's address here."""
        self.alias("team", "ann", "Eve@elsewhere.example", "EVE@elsewhere.example", "sub+x@Other.example")
        self.alias("all", "team", "bob", "eve@Elsewhere.Example")
        self.alias("away", "z@elsewhere.example")
        self.assertEqual(self.receivers("all+d"), [("ann", "d"), ("bob", "d")])
        self.assertEqual(self.forwards("all"), [("EVE@elsewhere.example", None), ("sub+x@other.example", None)])
        self.assertEqual(self.forwards("away"), [("z@elsewhere.example", None)])
        self.assertEqual(self.forwards("ann"), [])
        self.nobody("away")
        self.refused(self.directory.expand(at("eve@elsewhere.example")), NotFound)
        ann = self.now(self.directory.account("ann"))
        self.assertFalse(self.now(self.directory.may_send_as(ann, at("z@elsewhere.example"))))
        self.assertFalse(self.now(self.directory.may_send_as(ann, at("away"))))
        self.assertTrue(self.now(self.directory.may_send_as(ann, at("team"))))
        self.now(self.directory.remove("ann"))
        self.now(self.directory.remove("bob"))
        self.assertEqual(self.listed()["team"], ["EVE", "sub+x"])
        self.assertEqual(self.forwards("all"), [("EVE@elsewhere.example", None), ("sub+x@other.example", None)])

    def test_owner_makes_a_list(self) -> None:
        """Of the alias that has one; what is below it has its own or none of its own."""
        self.alias("sub", "s@elsewhere.example")
        self.alias("list", "ann", "l@elsewhere.example", "sub")
        self.alias("owner-list", "bob")
        self.assertEqual(
            self.forwards("list"), [("l@elsewhere.example", "owner-list"), ("s@elsewhere.example", "owner-list")]
        )
        self.assertEqual(self.now(self.directory.resolve(at("list")))[0].owner, at("owner-list"))
        self.alias("owner-sub", "ann")
        self.assertEqual(self.forwards("list")[1], ("s@elsewhere.example", "owner-sub"))
        self.assertEqual(self.now(self.directory.resolve(at("owner-list")))[0].owner, None)

    def test_impossible_targets_elsewhere(self) -> None:
        """Nobody in particular, or more than there may be."""
        add = self.directory.add_alias
        self.refused(add(at("sales"), [at("*@elsewhere.example")]), Invalid)
        many = [at(f"n{number}@elsewhere.example") for number in range(1_001)]
        self.refused(add(at("sales"), many), Invalid)
        self.assertEqual(len(self.now(add(at("sales"), many[1:])).targets), 1_000)

    def test_impossible_alias_is_refused(self) -> None:
        """No target, foreign or malformed address."""
        add = self.directory.add_alias
        self.refused(add(at("sales"), []), Invalid)
        for address in (at("sales@elsewhere.example"), Address("sales", ""), Address("", "example.org")):
            self.refused(add(address, [at("ann")]), Invalid)
        self.assertEqual(self.listed(), {})

    def test_circle_is_refused(self) -> None:
        """To itself, to its own detail, and where the new alias comes before an old one's detail."""
        add = self.directory.add_alias
        self.refused(add(at("loop"), [at("LOOP")]), Invalid)
        self.refused(add(at("loop"), [at("loop+x")]), Invalid)
        self.alias("first", "ann+x")
        self.alias("second", "first", "bob")
        self.refused(add(at("ann+x"), [at("bob"), at("second")]), Invalid)
        self.refused(add(at("*"), [at("*")]), Invalid)
        self.assertEqual(self.receivers("second"), [("ann", "x"), ("bob", "")])

    def test_chain_of_fifty_is_the_longest(self) -> None:
        """It reaches its account; one more is refused."""
        self.alias("a1", "ann")
        for number in range(2, 51):
            self.alias(f"a{number}", f"a{number - 1}")
        self.assertEqual(self.receivers("a50"), [("ann", "")])
        self.refused(self.directory.add_alias(at("a51"), [at("bob"), at("a50")]), Invalid)

    def test_removed_alias_is_gone(self) -> None:
        """Its address is free again; removing it twice or removing an account's address is refused."""
        made = self.alias("sales", "ann")
        self.assertEqual(self.now(self.directory.remove_alias(at("SALES"))), made)
        self.nobody("sales")
        for address in ("sales", "ann", "nobody"):
            self.refused(self.directory.remove_alias(at(address)), NotFound)
        self.add("sales")

    def test_removed_account_leaves_its_aliases(self) -> None:
        """With and without detail; aliases left without targets go, and what leads to them too."""
        self.alias("both", "ann", "bob", "ann+x")
        self.alias("only", "ann+y")
        self.alias("far", "only")
        self.alias("mixed", "far", "bob")
        self.alias("*", "only")
        self.now(self.directory.remove("ann"))
        self.assertEqual(self.listed(), {"both": ["bob"], "mixed": ["bob"]})
        self.nobody("whatever")
        self.add("ann")
        self.assertEqual(self.receivers("both"), [("bob", "")])

    def test_removed_alias_leaves_other_aliases(self) -> None:
        """In the same way."""
        self.alias("inner", "ann")
        self.alias("outer", "inner", "bob")
        self.alias("alone", "inner")
        self.now(self.directory.remove_alias(at("inner")))
        self.assertEqual(self.listed(), {"outer": ["bob"]})

    def test_target_that_still_leads_somewhere_stays(self) -> None:
        """A detail whose own address is removed falls back to its base."""
        self.alias("ann+shop", "bob")
        self.alias("shop", "ann+shop")
        self.now(self.directory.remove_alias(at("ann+shop")))
        self.assertEqual(self.listed(), {"shop": ["ann+shop"]})
        self.assertEqual(self.receivers("shop"), [("ann", "shop")])
