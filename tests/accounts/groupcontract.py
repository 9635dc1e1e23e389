"""What every directory does with groups and offers."""

from __future__ import annotations

from launcelot.accounts.interface import Group, Offer, Standing
from launcelot.core.errors import Exists, Invalid, LimitReached, NotFound
from launcelot.core.ids import AccountId
from tests.accounts.contract import DirectoryContract, at


class GroupContract(DirectoryContract):
    """Groups of accounts."""

    def setUp(self) -> None:
        """Three accounts and a group."""
        super().setUp()
        self.ann, self.bob, self.cora = (self.add(name) for name in ("ann", "bob", "cora"))
        self.team = self.now(self.directory.add_group("team", 100, 5))

    def test_add_and_list(self) -> None:
        """Groups are found by name in any spelling, and by id; their ids are nobody else's."""
        self.assertEqual(self.team, Group(self.team.id, "team", (), 100, 5))
        self.assertNotIn(self.team.id, {self.ann.id, self.bob.id, self.cora.id})
        self.now(self.directory.add_group("crew"))
        self.assertEqual([one.name for one in self.now(self.directory.groups())], ["crew", "team"])
        self.assertEqual(self.now(self.directory.group("TEAM")), self.team)
        self.assertEqual(self.now(self.directory.holder(self.team.id)), self.team)
        self.assertEqual(self.now(self.directory.holder(self.ann.id)), self.ann)
        self.refused(self.directory.group("nobody"), NotFound)
        self.refused(self.directory.group("no such:"), NotFound)
        self.refused(self.directory.holder(AccountId("x")), NotFound)

    def test_names_are_of_one_kind(self) -> None:
        """A group and an account never share one; some mean something else."""
        self.refused(self.directory.add_group("team"), Exists)
        self.refused(self.directory.add_group("ann"), Exists)
        self.assertEqual(self.now(self.directory.account("ann")), self.ann)
        self.refused(self.directory.add("team", self.ann.address, "pw"), Exists)
        for name in ("anyone", "anonymous", "a b", "Team", ""):
            self.refused(self.directory.add_group(name), Invalid)
        self.refused(self.directory.add("anyone", self.ann.address, "pw"), Invalid)
        self.refused(self.directory.add_group("x", -1), Invalid)

    def test_members(self) -> None:
        """Taken in and out by name, once each; an unknown name changes nothing."""
        team = self.now(self.directory.change_members("team", ["cora", "Ann", "ann"]))
        self.assertEqual(team.members, ("ann", "cora"))
        self.refused(self.directory.change_members("team", ["bob", "nobody"]), NotFound)
        self.refused(self.directory.change_members("team", ["bob"], ["a b"]), NotFound)
        self.refused(self.directory.change_members("crew", ["bob"]), NotFound)
        self.assertEqual(self.now(self.directory.group("team")).members, ("ann", "cora"))
        self.assertEqual(self.now(self.directory.change_members("team", ["bob"], ["ann", "ann"])).members, ("bob", "cora"))

    def test_standing(self) -> None:
        """The account as it is now and its groups; removed and disabled accounts have none."""
        crew = self.now(self.directory.add_group("crew"))
        for name in ("team", "crew"):
            self.now(self.directory.change_members(name, ["ann"]))
        self.assertEqual(
            self.now(self.directory.standing(self.ann.id)), Standing(self.ann, frozenset({self.team.id, crew.id}))
        )
        self.assertEqual(self.now(self.directory.standing(self.bob.id)).groups, frozenset())
        self.now(self.directory.change_members("crew", remove=["ann"]))
        self.assertEqual(self.now(self.directory.standing(self.ann.id)).groups, frozenset({self.team.id}))
        self.now(self.directory.change("ann", enabled=False))
        self.refused(self.directory.standing(self.ann.id), NotFound)
        self.refused(self.directory.standing(self.team.id), NotFound)

    def test_limits(self) -> None:
        """Changed apart."""
        self.assertEqual(self.now(self.directory.change_group("team", quota=7)).messages, 5)
        team = self.now(self.directory.change_group("team", messages=0))
        self.assertEqual((team.quota, team.messages), (7, 0))
        self.assertEqual(self.now(self.directory.group("team")), team)
        self.refused(self.directory.change_group("team", quota=-1), Invalid)
        self.refused(self.directory.change_group("crew", quota=1), NotFound)

    def test_removed_accounts_are_no_members(self) -> None:
        """An account made again under the same name is not either."""
        self.now(self.directory.change_members("team", ["ann", "bob"]))
        self.now(self.directory.remove("ann"))
        self.assertEqual(self.now(self.directory.group("team")).members, ("bob",))
        again = self.add("ann")
        self.assertEqual(self.now(self.directory.standing(again.id)).groups, frozenset())

    def test_removed_groups(self) -> None:
        """Nobody is a member; the name is free and the id is not."""
        self.now(self.directory.change_members("team", ["ann"]))
        self.assertEqual(self.now(self.directory.remove_group("team")).members, ("ann",))
        self.assertEqual(self.now(self.directory.standing(self.ann.id)).groups, frozenset())
        self.refused(self.directory.holder(self.team.id), NotFound)
        self.refused(self.directory.remove_group("team"), NotFound)
        self.assertNotEqual(self.now(self.directory.add_group("team")).id, self.team.id)

    def test_offers(self) -> None:
        """Found by whom they are made to; withdrawn only if they were not made again."""
        to_bob, to_team = f"account:{self.bob.id}", f"group:{self.team.id}"
        for owner, to in ((self.ann.id, to_bob), (self.cora.id, to_bob), (self.team.id, "anyone"), (self.ann.id, to_team)):
            self.now(self.directory.offer(owner, to))
        first = Offer(self.ann.id, to_bob, 1)
        self.assertEqual(self.now(self.directory.offers([to_bob])), [first, Offer(self.cora.id, to_bob, 1)])
        self.assertEqual(len(self.now(self.directory.offers([to_bob, to_team, "anyone"]))), 4)
        self.now(self.directory.offer(self.ann.id, to_bob))
        self.now(self.directory.withdraw(first))
        (again, _) = self.now(self.directory.offers([to_bob]))
        self.assertEqual(again.version, 2)
        self.now(self.directory.withdraw(again))
        self.assertEqual([one.owner for one in self.now(self.directory.offers([to_bob]))], [self.cora.id])
        self.refused(self.directory.offer(AccountId("nobody"), to_bob), NotFound)

    def test_offers_go_with_either_side(self) -> None:
        """Who offered, and to whom."""
        to_bob, to_team = f"account:{self.bob.id}", f"group:{self.team.id}"
        for owner, to in ((self.ann.id, to_bob), (self.ann.id, to_team), (self.cora.id, to_bob), (self.team.id, to_bob)):
            self.now(self.directory.offer(owner, to))
        self.now(self.directory.remove("cora"))
        self.now(self.directory.remove_group("team"))
        self.assertEqual([one.owner for one in self.now(self.directory.offers([to_bob, to_team]))], [self.ann.id])
        self.now(self.directory.remove("bob"))
        self.assertEqual(self.now(self.directory.offers([to_bob])), [])

    def test_mail_for_a_group(self) -> None:
        """Comes to the group once, whoever its members are; with detail, through aliases, and with its limits."""
        team = self.now(self.directory.address_group("team", at("Crew")))
        self.assertEqual(team.address, at("Crew"))
        self.assertEqual(self.now(self.directory.group("team")), team)
        (one,) = self.now(self.directory.resolve(at("crew+x")))
        self.assertEqual((one.account.id, one.account.quota, one.account.messages, one.detail), (self.team.id, 100, 5, "x"))
        self.alias("all", "crew", "ann")
        self.assertEqual([name for name, _ in self.receivers("all")], ["team", "ann"])
        self.now(self.directory.change_group("team", quota=7))
        self.assertEqual(self.now(self.directory.resolve(at("crew")))[0].account.quota, 7)

    def test_mail_for_a_group_goes_elsewhere_too(self) -> None:
        """To addresses of other hosts, each once; for its owner if it has one."""
        change = self.directory.change_forwards
        self.now(self.directory.address_group("team", at("crew")))
        eve, dan = at("eve@elsewhere.example"), at("dan@elsewhere.example")
        team = self.now(change("team", [eve, dan, at("EVE@elsewhere.example")]))
        self.assertEqual(team.forwards, (at("EVE@elsewhere.example"), dan))
        self.assertEqual(self.now(self.directory.group("team")), team)
        self.assertIn(team, self.now(self.directory.groups()))
        found = self.now(self.directory.expand(at("crew")))
        self.assertEqual([one.account.name for one in found.recipients], ["team"])
        self.assertEqual([(one.address, one.owner) for one in found.forwards], [(at("EVE@elsewhere.example"), None), (dan, None)])
        self.alias("owner-crew", "ann")
        self.assertEqual(self.now(self.directory.expand(at("crew"))).forwards[1].owner, at("owner-crew"))
        self.now(self.directory.change_members("team", ["ann"]))
        self.assertEqual(self.now(change("team", remove=[eve])).forwards, (dan,))
        for bad in ("ann", "*@elsewhere.example"):
            self.refused(change("team", [at(bad)]), Invalid)
        self.refused(change("nobody", [eve]), NotFound)
        self.refused(change("team", [at(f"n{number}@elsewhere.example") for number in range(1_001)]), LimitReached)
        self.now(self.directory.remove_group("team"))
        self.refused(self.directory.expand(at("crew")), NotFound)

    def test_addresses_of_groups_are_their_own(self) -> None:
        """No account, alias or other group has one; taken away it takes aliases to it along."""
        self.now(self.directory.address_group("team", at("crew")))
        self.now(self.directory.address_group("team", at("CREW")))
        self.alias("all", "crew")
        self.now(self.directory.add_group("other"))
        for taken in ("crew", "ann", "all"):
            self.refused(self.directory.address_group("other", at(taken)), Exists)
        self.refused(self.directory.add("dora", at("crew"), "pw"), Exists)
        self.refused(self.directory.add_alias(at("crew"), [at("ann")]), Exists)
        self.refused(self.directory.address_group("other", at("*")), Invalid)
        self.refused(self.directory.address_group("other", at("x@elsewhere.example")), Invalid)
        self.refused(self.directory.address_group("nobody", at("x")), NotFound)
        self.now(self.directory.address_group("team", at("hands")))
        self.refused(self.directory.resolve(at("crew")), NotFound)
        self.refused(self.directory.resolve(at("all")), NotFound)
        self.now(self.directory.address_group("other", at("crew")))
        self.now(self.directory.remove_group("team"))
        self.refused(self.directory.resolve(at("hands")), NotFound)
        self.assertIsNone(self.now(self.directory.address_group("other", None)).address)
        self.refused(self.directory.resolve(at("crew")), NotFound)

    def test_members_may_send_as_their_group(self) -> None:
        """As long as they are members, and enabled."""
        self.now(self.directory.address_group("team", at("crew")))
        self.now(self.directory.change_members("team", ["ann"]))
        self.assertTrue(self.now(self.directory.may_send_as(self.ann, at("crew"))))
        self.assertFalse(self.now(self.directory.may_send_as(self.bob, at("crew"))))
        self.now(self.directory.change("ann", enabled=False))
        self.assertFalse(self.now(self.directory.may_send_as(self.ann, at("crew"))))
        self.now(self.directory.change("ann", enabled=True))
        self.now(self.directory.change_members("team", remove=["ann"]))
        self.assertFalse(self.now(self.directory.may_send_as(self.ann, at("crew"))))
