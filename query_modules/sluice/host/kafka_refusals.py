"""
librdkafka's properties that a stream's config may not contain by default: those that the administrator can allow by
name (`SLUICE_KAFKA_ALLOW`), and those that cannot be allowed, each with the reason.
"""

from __future__ import annotations

from sluice.host.kafka_kinds import Choice, Integer, PropertyKind, Reference, Switch, Text
from sluice.host.kafka_table import DAY, INT, MINUTES, OAUTH

CODE = "it would load code into the database"
PROGRAM = "it would be part of a program's command line, run beside the database"
CALLBACK = "it is not a text, number or boolean"
GROUP = "a stream joins no group"
POSITION = "the stream's position is in the graph"
CERTAIN = "a dead letter counts when every replica has it"
TELLING = "the stream reports errors itself"
TRANSACTION = "the stream's transactions are the graph's"
LETTERS = "letters in flight are as many as SLUICE_BATCH_MAX_BYTES allows"
UNUSED = "it is obsolete, or for other systems than this one"
INTERNAL = "it is for librdkafka's own tests"

TUNING = "no stream is known to need it"
IDENTITY = "it would show the server's cloud identity to the brokers that a stream names"
UNSIGNED = "its tokens are signed by nobody"
NOISE = "it fills the server's log, at any rate"

REFUSED = {
    "bootstrap.servers": "it is the stream's uri",
    "metadata.broker.list": "it is the stream's uri",
    "group.id": "it is made of the stream's name",
    **dict.fromkeys(
        (
            *("group.instance.id", "group.protocol", "group.protocol.type", "group.remote.assignor"),
            *("partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms"),
            *("max.poll.records", "share.acknowledgement.mode", "coordinator.query.interval.ms"),
        ),
        GROUP,
    ),
    **dict.fromkeys(
        (
            *("enable.auto.commit", "auto.commit.enable", "auto.commit.interval.ms", "enable.auto.offset.store"),
            *("offset.store.method", "offset.store.path", "offset.store.sync.interval.ms"),
        ),
        POSITION,
    ),
    "auto.offset.reset": "use start for where a new stream begins, and on_gap for messages that retention removed",
    "enable.partition.eof": "the stream sets it",
    "allow.auto.create.topics": "a stream makes no topic",
    "topic.blacklist": "a stream reads one topic",
    "acks": CERTAIN,
    "request.required.acks": CERTAIN,
    "delivery.report.only.error": CERTAIN,
    "transactional.id": TRANSACTION,
    "transaction.timeout.ms": TRANSACTION,
    "enable.gapless.guarantee": "it is an experiment",
    "queue.buffering.max.messages": LETTERS,
    "queue.buffering.max.kbytes": LETTERS,
    "statistics.interval.ms": "they are not used; streams.info shows what a stream does",
    "enabled_events": CALLBACK,
    "log_level": TELLING,
    "log.queue": TELLING,
    "logger": TELLING,
    "default.topic.config": "topic settings are given like any other",
    "builtin.features": "it says what librdkafka was built with",
    **dict.fromkeys(
        (
            *("background_event_cb", "closesocket_cb", "connect_cb", "consume_cb", "dr_cb", "dr_msg_cb", "error_cb"),
            *("log_cb", "oauthbearer_token_refresh_cb", "offset_commit_cb", "open_cb", "partitioner_cb"),
            *("rebalance_cb", "resolve_cb", "socket_cb", "stats_cb", "throttle_cb", "ssl.certificate.verify_cb"),
            *("consume.callback.max.messages", "default_topic_conf", "interceptors", "msg_order_cmp", "opaque"),
            *("on_commit", "on_delivery", "ssl_ca", "ssl_certificate", "ssl_engine_callback_data", "ssl_key"),
        ),
        CALLBACK,
    ),
    **dict.fromkeys(("plugin.library.paths", "ssl.engine.location", "ssl.engine.id", "ssl.providers"), CODE),
    "sasl.kerberos.kinit.cmd": "it would run a program beside the database",
    **dict.fromkeys(("sasl.kerberos.principal", "sasl.kerberos.keytab"), PROGRAM),
    **dict.fromkeys(
        ("sasl.kerberos.service.name", "sasl.kerberos.min.time.before.relogin"),
        "for GSSAPI librdkafka would run a program beside the database",
    ),
    **dict.fromkeys(("internal.termination.signal", "enable.random.seed", "test.mock.num.brokers"), INTERNAL),
    **dict.fromkeys(
        (
            *("produce.offset.report", "reconnect.backoff.jitter.ms", "socket.blocking.max.ms"),
            *("topic.metadata.refresh.fast.cnt", "queuing.strategy", "ssl.ca.certificate.stores"),
        ),
        UNUSED,
    ),
}
"Never allowed, and why. The same applies to all that end with `_cb`."

ON_REQUEST: dict[str, tuple[PropertyKind, str]] = {
    "debug": (Text(r"[a-z,]+"), NOISE),
    "log.connection.close": (Switch(), NOISE),
    "log.thread.name": (Switch(), NOISE),
    f"{OAUTH}metadata.authentication.type": (Choice(("none", "azure_imds", "aws_iam")), IDENTITY),
    f"{OAUTH}config": (Reference(), "it is for tokens that nobody has signed, and for the identities of clouds"),
    "enable.sasl.oauthbearer.unsecure.jwt": (Switch(), UNSIGNED),
    "client.dns.lookup": (
        Choice(("use_all_dns_ips", "resolve_canonical_bootstrap_servers_only")),
        "it has brokers looked up under other names than the stream's uri has",
    ),
    "api.version.request": (Switch(), TUNING),
    "api.version.request.timeout.ms": (Integer(1, MINUTES), TUNING),
    "api.version.fallback.ms": (Integer(0, 7 * DAY), TUNING),
    "broker.version.fallback": (Text(r"[0-9.]+"), TUNING),
    "batch.num.messages": (Integer(1, 1_000_000), TUNING),
    "batch.size": (Integer(1, INT), TUNING),
    "max.in.flight": (Integer(1, 1_000_000), TUNING),
    "max.in.flight.requests.per.connection": (Integer(1, 1_000_000), TUNING),
    "message.copy.max.bytes": (Integer(0, 1_000_000_000), TUNING),
    "queue.buffering.backpressure.threshold": (Integer(1, 1_000_000), TUNING),
    "socket.max.fails": (Integer(1, 1_000_000), TUNING),
    "sticky.partitioning.linger.ms": (Integer(0, 900_000), TUNING),
    "topic.metadata.propagation.max.ms": (Integer(0, 3_600_000), TUNING),
    "topic.metadata.refresh.sparse": (Switch(), TUNING),
}
"Allowed if `SLUICE_KAFKA_ALLOW` names them: their valid values, and why they are not allowed by default."
