"""
librdkafka's properties that a stream's config may contain: kind, limits, and purpose.

A test compares them with the properties of the librdkafka that the images install. The limits are librdkafka's own,
except where those would let a client spin, or use more memory than `SLUICE_FETCH_BUFFER_KB`.
"""

from __future__ import annotations

from dataclasses import dataclass

from sluice.host.kafka_kinds import NAMES, Cap, Choice, File, Integer, Pem, PropertyKind, Reference, Switch, Text, Url

INT = 2_147_483_647
DAY = 86_400_000
HOUR = 3_600_000
MINUTES = 300_000
GIGABYTE = 1_000_000_000
SOCKET = 16 << 20
"Size of a socket's buffer in the kernel, in bytes."

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
MSK_IAM = "AWS_MSK_IAM"
"""
Amazon MSK's own mechanism, under the name that Kafka's clients for Java have for it. librdkafka does not have it:
`sluice.brokers.msk_iam` is what it becomes.
"""

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", MSK_IAM)
"Not GSSAPI: with it librdkafka runs a program through a shell whenever it creates a client."

MECHANISM_NAMES = ("sasl.mechanism", "sasl.mechanisms")
"The two names of the property that has one of them."

OAUTH = "sasl.oauthbearer."
ASSERTION = f"{OAUTH}assertion."
TOKEN_ENDPOINT = f"{OAUTH}token.endpoint.url"


@dataclass(frozen=True)
class Property:
    """A property that is allowed."""

    name: str
    kind: PropertyKind
    why: str
    also: str = ""
    "Another name of the same property; the two cannot be given together."


def _section(*properties: Property) -> tuple[Property, ...]:
    both = []
    for item in properties:
        both.append(item)
        if item.also:
            both.append(Property(item.also, item.kind, f"another name of `{item.name}`", item.name))
    return tuple(both)


SECTIONS: dict[str, tuple[Property, ...]] = {
    "Connections": _section(
        Property("client.id", Text(), "the name in the brokers' logs and quotas"),
        Property("client.rack", Text(), "read from a nearby replica"),
        Property("broker.address.family", Choice(("any", "v4", "v6")), "where one family of addresses does not work"),
        Property("broker.address.ttl", Integer(0, DAY), "ms for which addresses of brokers are remembered"),
        Property("socket.timeout.ms", Integer(1000, MINUTES), "for slow networks"),
        Property("socket.connection.setup.timeout.ms", Integer(1000, MINUTES), "for slow networks"),
        Property("socket.keepalive.enable", Switch(), "for firewalls that forget quiet connections"),
        Property("socket.nagle.disable", Switch(), "smaller or fewer packets"),
        Property("socket.send.buffer.bytes", Integer(0, SOCKET), "for networks far away"),
        Property("socket.receive.buffer.bytes", Integer(0, SOCKET), "for networks far away"),
        Property("connections.max.idle.ms", Integer(0, INT), "for firewalls that forget quiet connections"),
        Property("reconnect.backoff.ms", Integer(10, HOUR), "how soon a lost connection is made again"),
        Property("reconnect.backoff.max.ms", Integer(10, HOUR), "the longest pause before that"),
        Property("retry.backoff.ms", Integer(10, MINUTES), "how soon a request is made again"),
        Property("retry.backoff.max.ms", Integer(10, MINUTES), "the longest pause before that"),
        Property("topic.metadata.refresh.interval.ms", Integer(1000, HOUR), "how soon new leaders are noticed"),
        Property("topic.metadata.refresh.fast.interval.ms", Integer(10, 60_000), "the same, once one is missed"),
        Property("metadata.max.age.ms", Integer(1000, DAY), "how long what is known of topics counts"),
        Property("metadata.recovery.strategy", Choice(("none", "rebootstrap")), "what to do when no broker is left"),
        Property("metadata.recovery.rebootstrap.trigger.ms", Integer(1000, INT), "how soon that is done"),
        Property("enable.metrics.push", Switch(), "keeps the client's metrics from the brokers"),
    ),
    "Reading": _section(
        Property("isolation.level", Choice(("read_uncommitted", "read_committed")), "messages of open transactions"),
        Property("check.crcs", Switch(), "notices damage on the way"),
        Property("fetch.wait.max.ms", Integer(1, MINUTES), "how long a broker collects messages"),
        Property("fetch.min.bytes", Integer(1, 100_000_000, Cap.BYTES), "how many it collects"),
        Property("fetch.max.bytes", Integer(1, 2_147_483_135, Cap.BYTES), "of a broker's answer"),
        Property(
            "fetch.message.max.bytes",
            Integer(1, GIGABYTE, Cap.BYTES),
            "of a partition in an answer",
            also="max.partition.fetch.bytes",
        ),
        Property("message.max.bytes", Integer(1000, GIGABYTE, Cap.BYTES), "of a dead letter; raises `fetch.max.bytes`"),
        Property("receive.message.max.bytes", Integer(1000, INT, Cap.RESPONSE), "what a broker may send at once"),
        Property("queued.max.messages.kbytes", Integer(1, 2_097_151, Cap.KILOBYTES), "what is read ahead"),
        Property("queued.min.messages", Integer(1, 10_000_000, Cap.MESSAGES), "the same, in messages"),
        Property("fetch.queue.backoff.ms", Integer(1, MINUTES), "how soon more is asked for once that much is there"),
        Property("fetch.error.backoff.ms", Integer(10, MINUTES), "how soon it is tried again after an error"),
    ),
    "Dead letters": _section(
        Property("queue.buffering.max.ms", Integer(0, 10_000), "how long letters are collected", also="linger.ms"),
        Property("compression.codec", Choice(CODECS), "smaller letters", also="compression.type"),
        Property("compression.level", Integer(-1, 12), "how small"),
        Property("enable.idempotence", Switch(), "dead letters stay ordered and unique if a request is repeated"),
        Property("message.timeout.ms", Integer(1, INT), "before a letter is tried again", also="delivery.timeout.ms"),
        Property("request.timeout.ms", Integer(1, 900_000), "for the replicas to answer"),
        Property("message.send.max.retries", Integer(0, INT), "of librdkafka's own", also="retries"),
        Property(
            "partitioner",
            Choice(
                (*("random", "consistent", "consistent_random", "murmur2", "murmur2_random", "fnv1a"), "fnv1a_random"),
                exact=True,
            ),
            "into which partition a letter goes",
        ),
    ),
    "TLS": _section(
        Property(
            "security.protocol", Choice(("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")), "what the listener speaks"
        ),
        Property("ssl.ca.location", File(authorities=True), "the authorities that sign the brokers' certificates"),
        Property("ssl.ca.pem", Pem(), "the same, in the config itself"),
        Property("ssl.crl.location", File(), "certificates that were revoked"),
        Property("ssl.certificate.location", File(), "the stream's own certificate"),
        Property("ssl.certificate.pem", Pem(), "the same, in the config itself"),
        Property("ssl.key.location", File(), "its key"),
        Property("ssl.key.pem", Reference(pem=True), "its key, by reference"),
        Property("ssl.key.password", Reference(), "what the key is encrypted with"),
        Property("ssl.keystore.location", File(), "certificate and key as PKCS#12"),
        Property("ssl.keystore.password", Reference(), "what that is encrypted with"),
        Property(
            "enable.ssl.certificate.verification",
            Switch(),
            "disable for tests only: any host can then pose as a broker",
        ),
        Property("ssl.endpoint.identification.algorithm", Choice(("none", "https")), "whether names are compared"),
        Property("ssl.cipher.suites", NAMES, "what a policy demands"),
        Property("ssl.curves.list", NAMES, "what a policy demands"),
        Property("ssl.sigalgs.list", NAMES, "what a policy demands"),
    ),
    "SASL": _section(
        Property("sasl.mechanisms", Choice(MECHANISMS, exact=True), "how to sign in", also="sasl.mechanism"),
        Property("sasl.username", Reference(literal=True), "PLAIN, SCRAM"),
        Property("sasl.password", Reference(), "PLAIN, SCRAM"),
        Property(f"{OAUTH}method", Choice(("default", "oidc")), "oidc: tokens from an OAuth server"),
        Property(TOKEN_ENDPOINT, Url(), "where tokens are"),
        Property("https.ca.location", File(authorities=True), "the authorities that sign that server's certificate"),
        Property("https.ca.pem", Pem(), "the same, in the config itself"),
        Property(
            f"{OAUTH}grant.type",
            Choice(("client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer")),
            "how to ask for one",
        ),
        Property(f"{OAUTH}client.id", Reference(literal=True), "who asks", also=f"{OAUTH}client.credentials.client.id"),
        Property(
            f"{OAUTH}client.secret", Reference(), "with which secret", also=f"{OAUTH}client.credentials.client.secret"
        ),
        Property(f"{OAUTH}scope", Text(), "what for"),
        Property(f"{OAUTH}extensions", Text(), "what else the broker is told"),
        Property(f"{OAUTH}sub.claim.name", Text(), "which claim names the user"),
        Property(f"{ASSERTION}algorithm", Choice(("RS256", "ES256"), exact=True), "how an assertion is signed"),
        Property(f"{ASSERTION}private.key.file", File(), "with which key"),
        Property(f"{ASSERTION}private.key.pem", Reference(pem=True), "the same, by reference"),
        Property(f"{ASSERTION}private.key.passphrase", Reference(), "what the key is encrypted with"),
        Property(f"{ASSERTION}file", File(), "an assertion that was made elsewhere"),
        Property(f"{ASSERTION}jwt.template.file", File(), "what else it claims"),
        Property(f"{ASSERTION}claim.aud", Text(), "the audience"),
        Property(f"{ASSERTION}claim.iss", Text(), "who issued it"),
        Property(f"{ASSERTION}claim.sub", Text(), "the subject"),
        Property(f"{ASSERTION}claim.exp.seconds", Integer(1, DAY), "until when it counts"),
        Property(f"{ASSERTION}claim.nbf.seconds", Integer(0, DAY), "from when"),
        Property(f"{ASSERTION}claim.jti.include", Switch(), "with a number of its own"),
    ),
}

ALLOWED = {item.name: item for section in SECTIONS.values() for item in section}
