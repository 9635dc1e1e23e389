"""The same sessions on mail that is kept in SQLite files."""

from __future__ import annotations

from tests.protocols.imap4 import (
    test_acl,
    test_append,
    test_condstore,
    test_consistency,
    test_extensions,
    test_listing,
    test_mailboxes,
    test_messages,
    test_metadata,
    test_quota,
    test_sessions,
    test_sharing,
    test_sorting,
)


class FetchTests(test_messages.FetchTests):
    """FETCH."""

    in_files = True


class StoreTests(test_messages.StoreTests):
    """STORE, EXPUNGE, COPY, MOVE."""

    in_files = True


class SearchTests(test_messages.SearchTests):
    """SEARCH."""

    in_files = True


class SelectTests(test_mailboxes.SelectTests):
    """SELECT and its relatives."""

    in_files = True


class MailboxTests(test_mailboxes.MailboxTests):
    """Names."""

    in_files = True


class AppendTests(test_append.AppendTests):
    """APPEND."""

    in_files = True


class SearchExtensionTests(test_extensions.SearchExtensionTests):
    """WITHIN, SEARCHRES, SAVEDATE, OBJECTID."""

    in_files = True


class MultiAppendTests(test_extensions.MultiAppendTests):
    """MULTIAPPEND."""

    in_files = True


class ReplaceTests(test_extensions.ReplaceTests):
    """REPLACE."""

    in_files = True


class ListingTests(test_listing.ListingTests):
    """LIST with options."""

    in_files = True


class CondstoreTests(test_condstore.CondstoreTests):
    """CONDSTORE."""

    in_files = True


class QresyncTests(test_condstore.QresyncTests):
    """QRESYNC."""

    in_files = True


class SortTests(test_sorting.SortTests):
    """SORT and THREAD."""

    in_files = True


class TwoSessionTests(test_sessions.TwoSessionTests):
    """Several sessions."""

    in_files = True


class ConsistencyTests(test_consistency.ConsistencyTests):
    """Random histories."""

    in_files = True
    seeds = range(5)


class MetadataTests(test_metadata.MetadataTests):
    """Annotations."""

    in_files = True


class NewsTests(test_metadata.NewsTests):
    """What others change of annotations."""

    in_files = True


class QuotaTests(test_quota.QuotaTests):
    """Quotas."""

    in_files = True


class AclTests(test_acl.AclTests):
    """Access lists and other people's mailboxes."""

    in_files = True



class SharedAuthenticatedTests(test_sharing.AuthenticatedTests):
    """Access lists and other people's mailboxes."""

    in_files = True



class SharedSelectedTests(test_sharing.SelectedTests):
    """Access lists and other people's mailboxes."""

    in_files = True



class SharedLosingTests(test_sharing.LosingTests):
    """Access lists and other people's mailboxes."""

    in_files = True



class SharedNewsTests(test_sharing.NewsTests):
    """Access lists and other people's mailboxes."""

    in_files = True



class SharedGroupTests(test_sharing.GroupTests):
    """Access lists and other people's mailboxes."""

    in_files = True
