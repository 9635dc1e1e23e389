"""What every directory does with team folders."""

from __future__ import annotations

from launcelot.accounts import folders
from launcelot.accounts.folders import MAX_NAME
from launcelot.accounts.interface import Grant, TeamFolder
from launcelot.core.errors import Exists, Invalid, LimitReached, NotFound
from launcelot.core.filerights import ALL, NONE, Right, Share
from launcelot.core.ids import AccountId
from tests.accounts.contract import DirectoryContract

SEE = Right.LIST | Right.READ


class FolderContract(DirectoryContract):
    """Team folders and grants."""

    def setUp(self) -> None:
        """Three accounts, a group of two of them, and a folder."""
        super().setUp()
        self.ann, self.bob, self.cora = (self.add(name) for name in ("ann", "bob", "cora"))
        self.crew = self.now(self.directory.add_group("crew"))
        self.now(self.directory.change_members("crew", ["ann", "bob"]))
        self.plans = self.now(self.directory.add_team_folder("Plans", 100))

    def shares(self, id: AccountId) -> dict[str, Right]:
        """What somebody may do where."""
        found = self.now(self.directory.shares(id))
        for share in found:
            self.assertEqual(self.directory.rights_on(share.id, id), share.rights)
        return {share.name: share.rights for share in found}

    def test_new_folder_is_nobodys(self) -> None:
        """It is found by name, capitals not counting, has an id that nobody else has, and nobody may do anything in it."""
        self.assertEqual(self.plans, TeamFolder(self.plans.id, "Plans", 100, ()))
        self.assertNotIn(self.plans.id, {self.ann.id, self.bob.id, self.cora.id, self.crew.id})
        self.assertEqual(self.now(self.directory.team_folder("pLANS")), self.plans)
        self.now(self.directory.add_team_folder("an archive"))
        self.assertEqual([one.name for one in self.now(self.directory.team_folders())], ["an archive", "Plans"])
        for one in (self.ann, self.bob, self.cora):
            self.assertEqual(self.shares(one.id), {})
            self.assertEqual(self.directory.rights_on(self.plans.id, one.id), NONE)
        self.refused(self.directory.team_folder("none"), NotFound)

    def test_names(self) -> None:
        """One name for one folder, composed; none that could lead elsewhere or not be shown."""
        self.refused(self.directory.add_team_folder("plans"), Exists)
        self.assertEqual(self.now(self.directory.add_team_folder("cafe\u0301 2026")).name, "caf\u00e9 2026")
        self.refused(self.directory.add_team_folder("CAF\u00c9 2026"), Exists)
        for name in ("", ".", "..", ".x", "a/b", "a\0", "a\n", " a", "a ", "\x7f", "\udc80", "x" * (MAX_NAME + 1)):
            self.refused(self.directory.add_team_folder(name), Invalid)
        self.refused(self.directory.add_team_folder("x", -1), Invalid)
        self.now(self.directory.add_team_folder("x" * MAX_NAME))

    def test_change(self) -> None:
        """Quota and name can be changed, one without the other; the id stays, and with it what was granted."""
        self.now(self.directory.grant("Plans", "ann", SEE))
        self.now(self.directory.add_team_folder("Other"))
        self.assertEqual(self.now(self.directory.change_team_folder("plans", quota=7)).quota, 7)
        self.refused(self.directory.change_team_folder("plans", called="other"), Exists)
        self.refused(self.directory.change_team_folder("plans", called="a/b"), Invalid)
        self.refused(self.directory.change_team_folder("plans", quota=-1), Invalid)
        self.refused(self.directory.change_team_folder("none", quota=1), NotFound)
        changed = self.now(self.directory.change_team_folder("Plans", called="PLANS"))
        self.assertEqual((changed.id, changed.name, changed.quota), (self.plans.id, "PLANS", 7))
        self.assertEqual(self.now(self.directory.shares(self.ann.id)), [Share(self.plans.id, "PLANS", 7, SEE)])

    def test_rights_of_all_grants_are_joined(self) -> None:
        """Somebody's own, those of their groups and those of everybody; of each folder for itself."""
        self.now(self.directory.add_team_folder("Other"))
        self.now(self.directory.grant("Plans", "anyone", Right.LIST))
        self.now(self.directory.grant("Plans", "crew", Right.READ))
        self.now(self.directory.grant("Plans", "Ann", Right.CREATE))
        self.now(self.directory.grant("Other", "cora", ALL))
        self.assertEqual(self.shares(self.ann.id), {"Plans": SEE | Right.CREATE})
        self.assertEqual(self.shares(self.bob.id), {"Plans": SEE})
        self.assertEqual(self.shares(self.cora.id), {"Other": ALL, "Plans": Right.LIST})
        grants = self.now(self.directory.team_folder("Plans")).grants
        self.assertEqual(
            grants,
            (Grant("account", "ann", Right.CREATE), Grant("anyone", "anyone", Right.LIST), Grant("group", "crew", Right.READ)),
        )

    def test_grants_grow_and_shrink(self) -> None:
        """Rights are added to a grant and taken away; one without any is gone, and what is not there cannot be taken."""
        self.now(self.directory.grant("Plans", "ann", SEE))
        folder = self.now(self.directory.grant("Plans", "ann", Right.READ | Right.WRITE))
        self.assertEqual(folder.grants, (Grant("account", "ann", SEE | Right.WRITE),))
        folder = self.now(self.directory.revoke("Plans", "ann", Right.READ | Right.DELETE))
        self.assertEqual(folder.grants, (Grant("account", "ann", Right.LIST | Right.WRITE),))
        self.refused(self.directory.revoke("Plans", "ann", Right.DELETE), NotFound)
        self.assertEqual(self.now(self.directory.revoke("Plans", "ann")).grants, ())
        self.refused(self.directory.revoke("Plans", "ann"), NotFound)
        self.assertEqual(self.shares(self.ann.id), {})

    def test_unknown_folders_and_people(self) -> None:
        """A grant to nobody, or on nothing, is refused and changes nothing."""
        for who in ("nobody", "a b", "", "account:x"):
            self.refused(self.directory.grant("Plans", who, ALL), NotFound)
            self.refused(self.directory.revoke("Plans", who), NotFound)
        self.refused(self.directory.grant("none", "ann", ALL), NotFound)
        self.refused(self.directory.revoke("none", "ann"), NotFound)
        self.refused(self.directory.remove_team_folder("none"), NotFound)
        self.assertEqual(self.now(self.directory.team_folder("Plans")).grants, ())

    def test_membership_counts_at_once(self) -> None:
        """Who joins a group has its rights with the next question, and who leaves it has not."""
        self.now(self.directory.grant("Plans", "crew", SEE))
        self.assertEqual(self.shares(self.cora.id), {})
        self.now(self.directory.change_members("crew", add=["cora"], remove=["bob"]))
        self.assertEqual(self.shares(self.cora.id), {"Plans": SEE})
        self.assertEqual(self.shares(self.bob.id), {})

    def test_disabled_account_may_nothing(self) -> None:
        """While an account is disabled its grants rest."""
        self.now(self.directory.grant("Plans", "ann", ALL))
        self.now(self.directory.change("ann", enabled=False))
        self.assertEqual(self.shares(self.ann.id), {})
        self.assertEqual(self.directory.rights_on(self.plans.id, self.ann.id), NONE)
        self.now(self.directory.change("ann", enabled=True))
        self.assertEqual(self.shares(self.ann.id), {"Plans": ALL})

    def test_grants_go_with_their_holders(self) -> None:
        """A removed account or group leaves no grant behind, and a new one of the name has none."""
        self.now(self.directory.grant("Plans", "ann", ALL))
        self.now(self.directory.grant("Plans", "crew", SEE))
        self.now(self.directory.remove("ann"))
        self.now(self.directory.remove_group("crew"))
        self.assertEqual(self.now(self.directory.team_folder("Plans")).grants, ())
        again = self.add("ann")
        self.now(self.directory.add_group("crew"))
        self.now(self.directory.change_members("crew", ["ann"]))
        self.assertEqual(self.shares(again.id), {})

    def test_removed_folder_is_gone(self) -> None:
        """With its grants; a new one of the name has another id and none of them."""
        self.now(self.directory.grant("Plans", "ann", ALL))
        self.assertEqual(self.now(self.directory.remove_team_folder("plans")).id, self.plans.id)
        self.assertEqual(self.shares(self.ann.id), {})
        again = self.now(self.directory.add_team_folder("Plans"))
        self.assertNotEqual(again.id, self.plans.id)
        self.assertEqual(self.shares(self.ann.id), {})

    def test_numbers_are_bounded(self) -> None:
        """There are so many folders and grants and no more; those that are there can still be changed."""
        self.patch(folders, "MAX_GRANTS", 2)
        self.patch(folders, "MAX_FOLDERS", 2)
        for who in ("ann", "crew"):
            self.now(self.directory.grant("Plans", who, Right.LIST))
        self.refused(self.directory.grant("Plans", "bob", Right.LIST), LimitReached)
        self.now(self.directory.grant("Plans", "ann", Right.READ))
        self.now(self.directory.add_team_folder("Maps"))
        self.refused(self.directory.add_team_folder("More"), LimitReached)
        self.now(self.directory.change_team_folder("Maps", quota=1))
