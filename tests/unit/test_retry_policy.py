"""Which refusals of a server are the query's fault, which pass, and which only say so. The texts are Memgraph's."""

from __future__ import annotations

import pytest

from sluice.bolt.replies import Failure, error_of
from sluice.engine.retry_policy import TRIES, RetryPolicy
from sluice.errors import TransientFailure

CLIENT = "Memgraph.ClientError.MemgraphError.MemgraphError"
TRANSIENT = "Memgraph.TransientError.MemgraphError.MemgraphError"

OF_DATA = [
    (CLIENT, "Invalid types: int and int for '/'."),
    (CLIENT, "Unable to commit due to unique constraint violation on :U(id)"),
    (CLIENT, "Can't have null literal properties inside merge (::Label1 {prop: null})!"),
    (CLIENT, "Accessor type READ and query type WRITE are misaligned!"),
    (CLIENT, "Index manipulation not allowed in multicommand transactions."),
    (CLIENT, "line 1:1 mismatched input 'a' expecting ..."),
    (TRANSIENT, "Transaction was asked to abort because of transaction timeout."),
    ("Memgraph.DatabaseError.MemgraphError.MemgraphError", "An unknown exception occurred, this is unexpected."),
]
PASS = [
    (CLIENT, "Write query forbidden on the replica!"),
    (CLIENT, "Write queries are forbidden on the replica instance. Replica instances accept only read queries."),
    (CLIENT, "Write queries currently forbidden on the main instance. The cluster is in the process of ..."),
    (CLIENT, "At least one SYNC replica has not confirmed committing last transaction."),
    (CLIENT, "Replication Exception: At least one SYNC replica has not confirmed committing last transaction."),
    (CLIENT, "Unable to commit due to serialization error."),
    (CLIENT, "Unable to commit due to persistance error."),
    (
        CLIENT,
        "module.proc: Traceback (most recent call last): ... mgp.SerializationError: Operation cannot be serialized.",
    ),
    (CLIENT, "merge.node: Error in serialization!"),
    (CLIENT, "You are not authorized to execute this query! Please contact your database administrator."),
    (TRANSIENT, "Cannot resolve conflicting transactions. You can retry this transaction when ..."),
    (TRANSIENT, "Transaction was asked to abort by another user."),
    (TRANSIENT, "Transaction was asked to abort because of database shutdown."),
    (TRANSIENT, "Aborting transaction commit because the transaction was requested to stop from other session. "),
    (TRANSIENT, "Memory limit exceeded! Attempting to allocate a chunk of 1.00MiB which would put the current use ..."),
    (TRANSIENT, "Cannot get shared access to the storage. Try stopping other parallel queries."),
    (TRANSIENT, "Cannot get read-only access to the storage. Try stopping other parallel queries. You can ..."),
    (TRANSIENT, "Cannot get unique access to the storage. Try stopping other parallel queries. Note: ..."),
]
SUSPECT = [
    (TRANSIENT, "Invalid string for date. String representing the date should be in ISO 8601 format."),
    (TRANSIENT, "Invalid duration string. ..."),
    (TRANSIENT, "CSV file not found: /x.csv"),
    (TRANSIENT, "Trigger 't' caused the transaction to fail. Exception: no"),
]


@pytest.mark.parametrize(("code", "text"), OF_DATA)
def test_what_is_wrong_with_a_query_counts_against_its_message(code: str, text: str) -> None:
    assert RetryPolicy().of_data(error_of(Failure(code, text)))


@pytest.mark.parametrize(("code", "text"), PASS)
def test_what_passes_never_does(code: str, text: str) -> None:
    error, retry_policy = error_of(Failure(code, text)), RetryPolicy()
    for _ in range(100):
        assert not retry_policy.of_data(error)
        if isinstance(error, TransientFailure):
            retry_policy.refused(error)


@pytest.mark.parametrize(("code", "text"), SUSPECT)
def test_what_does_not_pass_though_it_is_called_transient_does_after_some_tries(code: str, text: str) -> None:
    error, retry_policy = error_of(Failure(code, text)), RetryPolicy()
    assert isinstance(error, TransientFailure)
    for _ in range(TRIES):
        assert not retry_policy.of_data(error)
        retry_policy.refused(error)
    assert retry_policy.of_data(error)
    retry_policy.committed()
    assert retry_policy.of_data(error)


def test_a_commit_between_the_tries_takes_the_doubt_away() -> None:
    error, retry_policy = error_of(Failure(*SUSPECT[0])), RetryPolicy()
    assert isinstance(error, TransientFailure)
    for _ in range(10 * TRIES):
        retry_policy.refused(error)
        retry_policy.committed()
    assert not retry_policy.of_data(error)
