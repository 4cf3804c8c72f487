"""
Kafka streams for Memgraph, as query procedures. Arguments in, records out; everything else is in the package `sluice`.

This file imports `sys`, `mgp` and that package and nothing more: when the server reloads a module it throws every
module that the file imports out of the interpreter, other modules' copies included. For the same reason no name is
taken from `mgp` for longer than a call: reloading any other module replaces it.
"""

import sys

import mgp

import sluice.errors
import sluice.process
import sluice.service


@mgp.write_proc
def create(
    ctx: mgp.ProcCtx,
    name: str,
    uri: str,
    topic: str,
    transform: str,
    batch_interval: int = 100,
    batch_size: int = 10,
) -> mgp.Record():
    """
    Creates a stream, stopped. What CREATE STREAM does.

    Checks that the broker at `uri` answers, that it has the topic, and that the script at `transform` can be fetched
    and loaded; the script is kept with the stream. `batch_interval` is in milliseconds, `batch_size` in messages;
    whichever is reached first ends a batch.

    Example:
        CALL streams.create('mystream', 'localhost:9092', 'test', 'http://localhost/transform.py');
    """
    return _answer(sluice.service.create, ctx.graph, name, uri, topic, transform, batch_interval, batch_size)


@mgp.write_proc
def drop(ctx: mgp.ProcCtx, name: str) -> mgp.Record():
    """
    Deletes a stream, running or not. What DROP STREAM does.

    Example:
        CALL streams.drop('mystream');
    """
    return _answer(sluice.service.drop, ctx.graph, name)


@mgp.read_proc
def show(ctx: mgp.ProcCtx) -> mgp.Record(name=str, uri=str, topic=str, transform=str, status=str):
    """
    All streams, one record each, ordered by name. What SHOW STREAMS gives.

    `status` is stopped, running, or error: ended by itself because of an error.

    Example:
        CALL streams.show() YIELD name, uri, topic, transform, status;
    """
    return _answer(sluice.service.show, ctx.graph)


@mgp.write_proc
def start(ctx: mgp.ProcCtx, name: str, limit_batches: mgp.Nullable[int] = None) -> mgp.Record():
    """
    Starts a stream, from where it was. What START STREAM does.

    With a limit the stream stops by itself after so many batches. A stream that is running is left alone.

    Example:
        CALL streams.start('mystream', 10);
    """
    return _answer(sluice.service.start, ctx.graph, name, limit_batches)


@mgp.write_proc
def stop(ctx: mgp.ProcCtx, name: str) -> mgp.Record():
    """
    Stops a stream after the batch in flight. What STOP STREAM does. A stream that is stopped is left alone.

    Example:
        CALL streams.`stop`('mystream');
    """
    return _answer(sluice.service.stop, ctx.graph, name)


@mgp.write_proc
def start_all(ctx: mgp.ProcCtx) -> mgp.Record():
    """
    Starts all streams. What START ALL STREAMS does.

    Example:
        CALL streams.start_all();
    """
    return _answer(sluice.service.start_all, ctx.graph)


@mgp.write_proc
def stop_all(ctx: mgp.ProcCtx) -> mgp.Record():
    """
    Stops all streams. What STOP ALL STREAMS does.

    Example:
        CALL streams.stop_all();
    """
    return _answer(sluice.service.stop_all, ctx.graph)


@mgp.read_proc
def test(ctx: mgp.ProcCtx, name: str, limit_batches: int = 1) -> mgp.Record(query=str, params=mgp.Map):
    """
    What a stopped stream would do with the next messages, one record per query. What TEST STREAM gives. Nothing is
    changed anywhere.

    Example:
        CALL streams.test('mystream', 2) YIELD query, params;
    """
    return _answer(sluice.service.test, ctx.graph, name, limit_batches, ctx.check_must_abort)


def _answer(verb, *arguments):
    """
    What a verb gives, as records of the `mgp` that the server has now; errors without the way they took through the
    package.
    """
    try:
        rows = verb(*arguments)
    except mgp.SerializationError:
        message = "another transaction is changing the same streams; nothing was changed, try again"
        raise sluice.errors.ConflictError(message) from None
    except sluice.errors.SluiceError as error:
        raise error.with_traceback(None) from None
    record = sys.modules["mgp"].Record
    return [record(**row) for row in rows]


sluice.process.start()
