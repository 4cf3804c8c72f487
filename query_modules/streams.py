"""
Kafka streams for Memgraph, as query procedures. Arguments in, records out; everything else is in the package `sluice`.

When the server reloads a module, it deletes from the interpreter every module that an import statement of this file
names, the copies that other modules use included; `sys` alone is spared. So the only import statements are those of
`sys` and of the package, and `mgp`, which all query modules share, is imported without one. For the same reason no name
is taken from `mgp` for longer than a call: reloading any other module replaces it.
"""

import sys

import sluice.errors
import sluice.procedures.define
import sluice.procedures.look
import sluice.procedures.reload
import sluice.procedures.retry
import sluice.procedures.run
import sluice.procedures.seek
import sluice.procedures.shown
import sluice.procedures.sign_in
import sluice.procedures.streams
import sluice.procedures.trial
import sluice.supervising.process

mgp = __import__("mgp")


@mgp.write_proc
def create(
    ctx: mgp.ProcCtx,
    name: str,
    uri: str,
    topic: str,
    transform: str,
    batch_interval: int = 100,
    batch_size: int = 10,
    config: mgp.Nullable[mgp.Map] = None,
    existing: str = "refuse",
) -> mgp.Record():
    """
    Creates a stream, stopped. What CREATE STREAM does.

    `topic` is a name, several with commas between them ('orders,users'), or a pattern ('^orders\\..*'), which also
    matches topics that come later; or a list with patterns in it.

    Checks that the broker at `uri` answers, that it has the topics, and that the script at `transform` can be fetched
    and loaded; the script is kept with the stream. `batch_interval` is in milliseconds, `batch_size` in messages;
    whichever is reached first ends a batch.

    `config` says what happens to a message that cannot be applied, and holds settings of librdkafka:

    - on_error: 'stop' (default), 'skip', 'park' (as a node, for streams.retry) or 'dead_letter'
    - park_limit: how many may be parked, 1000 by default; dead_letter_topic: where dead letters go
    - source: 'messages' (default), or 'dead_letters' if the topic has those of other streams, to be applied again
    - isolate: 'bisect' (default), or 'never' if the transform depends on the batch as a whole
    - on_gap: 'stop' (default) or 'skip' when Kafka no longer has the messages at the stream's position
    - start: 'earliest' (default), 'latest', or a time (ISO 8601 or milliseconds since 1970): where the stream begins in
      the partitions that there are now
    - lanes: how many workers the partitions are dealt to, each with a transform process: 1 by default, or 'auto', as
      many as there are partitions and cores
    - partitions: a list of the partitions that the stream reads, such as [0, 3]; all by default
    - fold: whether equal queries may be sent as one, true by default
    - transform: a map of options for the script, which has to define configure(options)
    - aws_region: of an Amazon MSK cluster, with sasl.mechanism 'AWS_MSK_IAM', if its brokers' names do not have it
    - any other key is librdkafka's; secrets are given as 'env:NAME' or 'file:PATH'

    `existing` says what to do if there is a stream of that name: 'refuse' (default), 'keep', which is to do nothing (IF
    NOT EXISTS), or 'replace' (OR REPLACE): the old one is dropped, and the new one begins as any new one does.

    Example:
        CALL streams.create('mystream', 'localhost:9092', 'test', 'http://localhost/transform.py', 100, 10,
                            {on_error: 'skip'});
    """
    return _answer(
        sluice.procedures.define.create,
        ctx,
        name,
        uri,
        topic,
        transform,
        batch_interval,
        batch_size,
        config,
        existing,
    )


@mgp.write_proc
def alter(ctx: mgp.ProcCtx, name: str, changes: mgp.Map) -> mgp.Record():
    """
    Changes a stopped stream. What ALTER STREAM does.

    `changes` may hold batch_interval, batch_size, uri, transform, which is fetched again, and config, a map of the keys
    that change. null puts a number, or a key of config, back to its default. config.transform is replaced as a whole,
    and tried on the script.

    Example:
        CALL streams.alter('mystream', {batch_size: 1000, config: {on_error: 'skip'}});
    """
    return _answer(sluice.procedures.define.alter, ctx, name, changes)


@mgp.write_proc
def drop(ctx: mgp.ProcCtx, name: str, if_exists: bool = False) -> mgp.Record():
    """
    Deletes a stream, running or not. What DROP STREAM does. With `if_exists` it is no error if there is none.

    Example:
        CALL streams.drop('mystream');
    """
    return _answer(sluice.procedures.define.drop, ctx, name, if_exists)


@mgp.write_proc
def seek(ctx: mgp.ProcCtx, name: str, to: mgp.Any, dry_run: bool = False) -> mgp.Record(
    **{"partition": int, "from": int, "to": int, "messages": int, "effect": str, "topic": str}
):
    """
    Sends a stopped stream elsewhere in its topics. What SEEK STREAM does. With `dry_run` it says what that would mean,
    and nothing is changed.

    `to` is 'earliest', 'latest', a time (ISO 8601), {timestamp: milliseconds since 1970}, {relative: n}, which is n
    offsets on in each partition, or back if negative, or a map of partitions and offsets; for a stream of several
    topics, of topics and such maps.

    One record for each partition: `messages` says how many are read again or skipped at the most, `effect` which:
    'read again', 'skipped' or 'none'.

    Example:
        CALL streams.seek('mystream', {relative: -1000}, true) YIELD partition, from, to, messages, effect;
        CALL streams.seek('mystream', {`0`: 120, `1`: 98}) YIELD partition, from, to, messages, effect;
        CALL streams.seek('mystream', {users: {`0`: 7}}) YIELD partition, from, to, messages, effect, topic;
    """
    return _answer(sluice.procedures.seek.seek, ctx, name, to, dry_run)


@mgp.write_proc
def reload_transform(ctx: mgp.ProcCtx, name: str, trial_messages: int = 100) -> mgp.Record(
    old_sha256=str, new_sha256=str, tried=int
):
    """
    Fetches a stream's script again, running or not. What RELOAD TRANSFORM does.

    A script that has changed is tried on the last `trial_messages` messages that the stream has read. If it fails where
    the old one does not, nothing is changed; else the stream goes on with it from its next batch on. `tried` says how
    many messages it was tried on.

    Example:
        CALL streams.reload_transform('mystream') YIELD old_sha256, new_sha256, tried;
    """
    return _answer(sluice.procedures.reload.reload_transform, ctx, name, trial_messages, ctx.check_must_abort)


@mgp.read_proc
def try_transform(
    ctx: mgp.ProcCtx,
    uri: str,
    messages: mgp.List[mgp.Nullable[mgp.Any]],
    options: mgp.Nullable[mgp.Map] = None,
) -> mgp.Record(query=str, params=mgp.Map):
    """
    What a script makes of a batch of messages; one record per query. There need not be a stream, nor Kafka.

    A message is a text, or null for a tombstone; or, for a script that defines stream_messages(batch), a map with any
    of value, key, headers, topic, partition, offset and timestamp. A text that begins with `base64:` is bytes.
    `options` are for the script's configure(options), as config.transform of a stream is.

    Example:
        CALL streams.try_transform('http://localhost/transform.py', ['1', '1 2']) YIELD query, params;
    """
    return _answer(sluice.procedures.trial.try_transform, ctx, uri, messages, options, ctx.check_must_abort)


@mgp.read_proc
def show(ctx: mgp.ProcCtx) -> mgp.Record(name=str, uri=str, topic=str, transform=str, status=str):
    """
    All streams, one record each, ordered by name. What SHOW STREAMS gives.

    `status` is stopped, running, or error: ended by itself because of an error.

    Example:
        CALL streams.show() YIELD name, uri, topic, transform, status;
    """
    return _answer(sluice.procedures.look.show, ctx)


@mgp.read_proc
def info(ctx: mgp.ProcCtx, name: mgp.Nullable[str] = None) -> mgp.Record(
    name=str,
    status=str,
    reason=mgp.Nullable[str],
    since=mgp.Nullable[str],
    retrying=mgp.Nullable[mgp.Map],
    uri=str,
    topic=str,
    transform=str,
    transform_sha256=str,
    transform_source=str,
    confinement=mgp.Nullable[str],
    batch_interval=mgp.Nullable[int],
    batch_size=mgp.Nullable[int],
    config=mgp.Map,
    generation=int,
    positions=mgp.Map,
    watermarks=mgp.Nullable[mgp.Map],
    lag=mgp.Nullable[mgp.Map],
    total_lag=mgp.Nullable[int],
    batches=int,
    messages=int,
    failed=int,
    rates=mgp.Map,
    times_ms=mgp.Map,
    retries=int,
    last_batch=mgp.Nullable[mgp.Map],
    last_error=mgp.Nullable[mgp.Map],
    folding=mgp.Map,
    merges=mgp.Map,
    lanes=mgp.List[mgp.Map],
):
    """
    What is known of one stream, or, without a name, of each.

    `reason` says why it is in error, or what keeps a running one from reading, and since when; null if all is well.
    `retrying` is the same in parts: `why, since, next_try`. `since` is when the status began.

    By partition, or, where a stream may read several topics, by topic and partition: `positions`, the offset of the
    next message; `watermarks`, `{low, high}`; `lag`, how many offsets are between the two. The last two are null while
    the stream does not run, and until the broker has told.

    `messages` took effect, `failed` did not. `rates` are `messages_per_s` and `batches_per_s` over the last minute;
    `times_ms` the milliseconds spent in `poll`, `transform`, `write`, `commit`; `last_batch` is the first record of
    `streams.batches`, `last_error` has `time` and `error`; `folding` says what became of the `queries`: how many were
    `sent`, and, by their `texts`, how they fold or why not. These, and `retries`, begin anew with the server's process.

    `confinement` says what its transform is kept from, and by what.

    `merges` has `waits`: how often (`count`) and how long (`ms`) it has waited `for` what other streams were merging,
    and what it is `waiting` for now; and `unprotected`: the uniqueness constraints that would keep other clients from
    creating second vertices of what it merges.

    `lanes` has a map for each lane of a stream with several: `lane`, its number; `status`, `reason`, `positions`,
    `lag`, `total_lag`, `batches`, `messages`, `failed`, `rates` as above; and its `waits`, those for other lanes
    included.

    Example:
        CALL streams.info('mystream') YIELD status, reason, total_lag, rates;
        CALL streams.info() YIELD name, status, total_lag;
    """
    return _answer(sluice.procedures.look.info, ctx, name)


@mgp.read_proc
def progress(ctx: mgp.ProcCtx) -> mgp.Record(
    name=str,
    topic=str,
    status=str,
    reason=mgp.Nullable[str],
    retrying=mgp.Nullable[mgp.Map],
    total_lag=mgp.Nullable[int],
    messages=int,
    failed=int,
    rates=mgp.Map,
    retries=int,
    last_error=mgp.Nullable[mgp.Map],
    queries=int,
    sent=int,
):
    """
    How all streams get on: what of `streams.info` changes while they run, for viewers that look again and again. It
    takes half the time. `queries` and `sent` are those of `folding`.

    Example:
        CALL streams.progress() YIELD name, status, reason, total_lag, rates;
    """
    return _answer(sluice.procedures.look.progress, ctx)


@mgp.read_proc
def batches(ctx: mgp.ProcCtx, name: str, limit: int = 10) -> mgp.Record(
    time=str,
    begin=mgp.Map,
    end=mgp.Map,
    batches=int,
    messages=int,
    failed=int,
    queries=int,
    sent=int,
    ms=mgp.Map,
    retries=int,
    transform_sha256=str,
):
    """
    What the latest transactions did, the newest first; kept in memory, while the server runs.

    A transaction holds a batch, or several, or, after a message that could not be applied, a part of one (`batches`
    counts the part that ends it). `begin` and `end` are offsets by partition: it holds those from the one up to,
    without, the other. `queries` are the transform's, `sent` what folding made of them. `ms` are the milliseconds in
    `poll`, `transform`, `write` and `commit`. The counters add up to those of `streams.info`.

    Example:
        CALL streams.batches('mystream', 5) YIELD time, messages, ms;
    """
    return _answer(sluice.procedures.look.batches, ctx, name, limit)


@mgp.read_proc
def show_create(ctx: mgp.ProcCtx, name: str) -> mgp.Record(statement=str):
    """
    The clause that makes a stream like this one. What SHOW CREATE STREAM gives.

    Example:
        CALL streams.show_create('mystream') YIELD statement;
    """
    return _answer(sluice.procedures.look.show_create, ctx, name)


@mgp.read_proc
def errors(ctx: mgp.ProcCtx, name: str, limit: int = 10) -> mgp.Record(
    time=str,
    action=str,
    topic=str,
    partition=int,
    offset=int,
    count=int,
    key=mgp.Nullable[str],
    payload=mgp.Nullable[str],
    payload_bytes=int,
    headers=mgp.List[mgp.List[mgp.Nullable[str]]],
    query=mgp.Nullable[str],
    params=mgp.Nullable[str],
    error=str,
    transform_sha256=str,
):
    """
    The latest messages that could not be applied, the newest first.

    `action` is what the stream did: stop, skip, park, dead_letter; or gap, where `count` offsets from `offset` on
    were no longer in Kafka. Payloads and other texts are cut where they are long; what is no UTF-8 begins with
    `base64:`.

    Example:
        CALL streams.errors('mystream', 1) YIELD partition, offset, payload, query, error;
    """
    return _answer(sluice.procedures.look.errors, ctx, name, limit)


@mgp.read_proc
def output(ctx: mgp.ProcCtx, name: str, limit: int = 100) -> mgp.Record(time=str, line=str):
    """
    The latest lines that a stream's transform has written, the newest last: what it prints, logs and writes to standard
    error. Kept in memory, while the server runs: 200 lines of a stream. TEST adds to them as well.

    Example:
        CALL streams.output('mystream') YIELD time, line;
    """
    return _answer(sluice.procedures.look.output, ctx, name, limit)


@mgp.read_proc
def parked(ctx: mgp.ProcCtx, name: str, limit: int = 10) -> mgp.Record(
    time=str,
    topic=str,
    partition=int,
    offset=int,
    timestamp=mgp.Nullable[int],
    key=mgp.Nullable[str],
    payload=mgp.Nullable[str],
    headers=mgp.List[mgp.List[mgp.Nullable[str]]],
    attempts=int,
    tried=mgp.Nullable[str],
    waiting=bool,
    query=mgp.Nullable[str],
    params=mgp.Nullable[str],
    error=str,
    transform_sha256=str,
):
    """
    The messages that a stream with on_error 'park' has parked, whole, the oldest first.

    `attempts` counts retries, `tried` is when the last one was, and `error` what it ended with; `waiting` says that one
    was asked for and is not done. What is no UTF-8 begins with `base64:`.

    Example:
        CALL streams.parked('mystream') YIELD partition, offset, payload, attempts, error;
    """
    return _answer(sluice.procedures.retry.list_parked, ctx, name, limit)


@mgp.write_proc
def retry(
    ctx: mgp.ProcCtx,
    name: str,
    limit: mgp.Nullable[int] = None,
    partition: mgp.Nullable[int] = None,
    offset: mgp.Nullable[int] = None,
    topic: mgp.Nullable[str] = None,
) -> mgp.Record(messages=int):
    """
    Applies parked messages again, with the stream's transform as it is now: all, the `limit` oldest, those
    of a topic or a partition, or one. The stream may be running or not.

    Says at once how many that are; it is done as soon as the transaction is committed. What takes effect is gone from
    `streams.parked` in the same transaction, what fails stays, with its new error.

    Example:
        CALL streams.retry('mystream', 100) YIELD messages;
        CALL streams.retry('mystream', null, 0, 4711) YIELD messages;
    """
    return _answer(sluice.procedures.retry.retry, ctx, name, limit, partition, offset, topic)


@mgp.read_proc
def version(ctx: mgp.ProcCtx) -> mgp.Record(version=str, trouble=mgp.Nullable[str]):
    """
    Which version of the package is loaded, and what keeps its streams from running; null if nothing does.

    Example:
        CALL streams.version() YIELD version, trouble;
    """
    return _answer(sluice.procedures.look.version, ctx)


@mgp.read_proc
def instance(ctx: mgp.ProcCtx) -> mgp.Record(process=str):
    """
    Which server process answers: a text that no other process has, another one after each start. The streams' own
    connections ask it, so that a server whose port is taken never runs the streams of the one that has it.

    Example:
        CALL streams.instance() YIELD process;
    """
    return _answer(sluice.procedures.look.instance, ctx)


@mgp.read_proc
def settings(ctx: mgp.ProcCtx) -> mgp.Record(name=str, value=str):
    """
    The settings that the server has, by the names of their variables. A password that is set is shown as ***.

    Example:
        CALL streams.settings() YIELD name, value;
    """
    return _answer(sluice.procedures.look.settings, ctx)


@mgp.read_proc
def interpreter(ctx: mgp.ProcCtx) -> mgp.Record(
    path=mgp.Nullable[str], version=mgp.Nullable[str], trouble=mgp.Nullable[str]
):
    """
    The Python interpreter that runs transforms, found by trying candidates the first time that one is needed; or, where
    none works, what became of each.

    Example:
        CALL streams.interpreter() YIELD path, version, trouble;
    """
    return _answer(sluice.procedures.look.interpreter, ctx)


@mgp.read_proc
def sign_in(ctx: mgp.ProcCtx, name: str) -> mgp.Record(part=str, found=mgp.Nullable[str], trouble=mgp.Nullable[str]):
    """
    Whether a stream has what it signs in to Kafka with, as the server finds it now: one record for each part. Shows no
    secret, and asks no broker.

    Example:
        CALL streams.sign_in('mystream') YIELD part, found, trouble;
    """
    return _answer(sluice.procedures.sign_in.sign_in, ctx, name)


@mgp.write_proc
def start(ctx: mgp.ProcCtx, name: str, limit_batches: mgp.Nullable[int] = None) -> mgp.Record():
    """
    Starts a stream, from where it was. What START STREAM does.

    With a limit the stream stops by itself after so many batches. A stream that is running is left alone.

    Example:
        CALL streams.start('mystream', 10);
    """
    return _answer(sluice.procedures.run.start, ctx, name, limit_batches)


@mgp.write_proc
def stop(ctx: mgp.ProcCtx, name: str) -> mgp.Record():
    """
    Stops a stream after the batch in flight. What STOP STREAM does. A stream that is stopped is left alone.

    Example:
        CALL streams.`stop`('mystream');
    """
    return _answer(sluice.procedures.run.stop, ctx, name)


@mgp.write_proc
def start_all(ctx: mgp.ProcCtx) -> mgp.Record():
    """
    Starts all streams. What START ALL STREAMS does.

    Example:
        CALL streams.start_all();
    """
    return _answer(sluice.procedures.run.start_all, ctx)


@mgp.write_proc
def stop_all(ctx: mgp.ProcCtx) -> mgp.Record():
    """
    Stops all streams. What STOP ALL STREAMS does.

    Example:
        CALL streams.stop_all();
    """
    return _answer(sluice.procedures.run.stop_all, ctx)


@mgp.read_proc
def test(ctx: mgp.ProcCtx, name: str, limit_batches: int = 1, execute: bool = False) -> mgp.Record(
    query=str, params=mgp.Map
):
    """
    What a stopped stream would do with the next messages, one record per query. What TEST STREAM gives. Nothing is
    changed anywhere.

    With `execute` the queries are run, too, in a transaction that is rolled back; `streams.test_report` then says what
    they did.

    Example:
        CALL streams.test('mystream', 2) YIELD query, params;
    """
    return _answer(sluice.procedures.trial.test, ctx, name, limit_batches, execute, ctx.check_must_abort)


@mgp.read_proc
def test_report(ctx: mgp.ProcCtx, name: str) -> mgp.Record(
    query=str,
    queries=int,
    runs=int,
    ms=float,
    slowest_ms=float,
    nodes_created=int,
    nodes_deleted=int,
    relationships_created=int,
    relationships_deleted=int,
    properties_set=int,
    labels_added=int,
    labels_removed=int,
    warning=mgp.Nullable[str],
    error=mgp.Nullable[str],
):
    """
    What the queries of the stream's latest test with `execute` did before they were rolled back: one record for each
    text, those that took longest first.

    `warning` names what is looked for without an index, `error` what the server said to a query that failed; nothing
    was run after that one, so `runs` is less than `queries`.

    Example:
        CALL streams.test('mystream', 1, true) YIELD query RETURN count(query);
        CALL streams.test_report('mystream') YIELD query, runs, ms, nodes_created, warning, error;
    """
    return _answer(sluice.procedures.trial.test_report, ctx, name)


def _answer(verb, ctx, *arguments):
    """
    What a verb gives, as records of the `mgp` that the server has now; errors without the way they took through the
    package.
    """
    try:
        streams = sluice.procedures.streams.Streams(ctx.graph, sluice.supervising.process.current())
        rows = verb(streams, *arguments)
    except mgp.SerializationError:
        message = "another transaction is changing the same streams; nothing was changed, try again"
        raise sluice.errors.ConflictError(message) from None
    except mgp.AbortError:
        message = "aborted by TERMINATE TRANSACTIONS, a time limit, or its client's end; nothing was changed, try again"
        raise sluice.errors.CallAborted(message) from None
    except sluice.errors.SluiceError as error:
        raise error.with_traceback(None) from None
    record = sys.modules["mgp"].Record
    return [record(**sluice.procedures.shown.shown(row)) for row in rows]


sluice.supervising.process.start()
