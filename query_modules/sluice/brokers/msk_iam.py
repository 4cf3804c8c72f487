"""
Signs a stream's clients in to Amazon MSK with the server's AWS identity: what `sasl.mechanism: 'AWS_MSK_IAM'` does.

librdkafka does not have that mechanism, but MSK takes the same signed request as a token of OAUTHBEARER. AWS's own
signer (`aws-msk-iam-sasl-signer-python`) makes the token from the credentials that AWS's own library (botocore) finds,
and confluent-kafka asks for the next one when four fifths of its 15 minutes have passed. Both packages are optional.

The extra `oauthbearer-aws` of confluent-kafka 2.15 is for something else: it has STS issue a JWT
(`GetWebIdentityToken`) for an audience such as Confluent's. MSK takes none of these.

Sources: Amazon MSK developer guide, "Configure clients to use IAM access control" (clients other than Java);
    `MSKAuthTokenProvider.py` of the signer, 1.0.2; `oauth_cb` and `wait_for_oauth_token_set` in `confluent_kafka.c`,
    v2.15.0.
"""

from __future__ import annotations

import http.client
import logging
import re
import ssl
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError

from sluice.errors import BrokerError, SettingError, one_line
from sluice.host.kafka_table import MSK_IAM

log = logging.getLogger("sluice.consumer")

SIGNER = "aws-msk-iam-sasl-signer-python"
"What pip calls the package that signs."

SIGNER_MODULE = "aws_msk_iam_sasl_signer.MSKAuthTokenProvider"

OLDEST_CONFLUENT_KAFKA = (2, 13)
"Since then tokens are renewed on a thread of librdkafka's own. Before, clients that nothing polls never got one."

REMEDY = "sluice install --extra msk-iam has the command"

BROKER = re.compile(r"\.kafka(?:-serverless)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?(?::\d+)?", re.IGNORECASE)
"The end of the names of MSK's brokers, such as b-1.demo.ab12cd.c2.kafka.eu-west-1.amazonaws.com:9098."

CLIENT_TIMEOUT = 5
"Seconds that one question to a service that gives credentials may take."

CLOCK_TIMEOUT = 3.0
"Seconds that AWS has to tell the time."

RAISED = "OAuth callback raised exception"
"How the error ends with which librdkafka reports that a token could not be renewed. The reason itself is lost there."

ErrorCallback = Callable[[KafkaError], None]


class MskSigner:
    """
    Makes the tokens that one client signs in with.

    Threads: librdkafka's background thread calls it, and waits without the interpreter lock.
    """

    def __init__(self, stream: str, region: str) -> None:
        """
        Makes the first token at once: a client without one would wait for it for ten seconds, and not learn what is
        wrong.

        Raises:
            SettingError: a package is missing.
            BrokerError: there are no credentials.
        """
        self._stream = stream
        self._region = region
        self._trouble = ""
        try:
            self._first: tuple[str, float] | None = token(region)
        except BrokerError as error:
            raise BrokerError(f"Kafka stream {stream}, cannot sign in with {MSK_IAM}: {error}") from None
        except SettingError as error:
            raise SettingError(f"Kafka stream {stream}, cannot sign in with {MSK_IAM}: {error}") from None

    def __call__(self, _: str) -> tuple[str, float]:
        """A token, and when it expires, in seconds since 1970. Raises as the constructor."""
        first, self._first = self._first, None
        if first is not None:
            return first
        try:
            renewed = token(self._region)
        except (BrokerError, SettingError) as error:
            self._trouble = str(error)
            log.warning("stream %s: no new token for %s: %s; librdkafka asks again", self._stream, MSK_IAM, error)
            raise
        self._trouble = ""
        return renewed

    def explaining(self, note: ErrorCallback) -> ErrorCallback:
        """`note`, which gets to know why a token could not be renewed."""

        def explained(error: KafkaError) -> None:
            if self._trouble and error.str().endswith(RAISED):
                error = KafkaError(error.code(), error.str().replace(RAISED, self._trouble))
            note(error)

        return explained


def sign_in(stream: str, uri: str, region: str | None, note: ErrorCallback | None) -> dict[str, Any]:
    """
    The callbacks that a client needs.

    Args:
        stream: its name, for errors.
        region: the stream's `aws_region`; None: the brokers' names have it.
        note: the client's own `error_cb`.

    Raises:
        SettingError: the region is not known, or a package is missing.
        BrokerError: there are no credentials, or none just now.
    """
    signer = MskSigner(stream, region or region_of(stream, uri))
    return {"oauth_cb": signer} | ({} if note is None else {"error_cb": signer.explaining(note)})


def region_of(stream: str, uri: str) -> str:
    """The region that the brokers' names have. Raises SettingError: they have none, or several."""
    found = {match[1].lower() for place in uri.split(",") if (match := BROKER.search(place.strip()))}
    if len(found) != 1:
        what = "name several regions" if found else "do not name the region"
        raise SettingError(
            f"Kafka stream {stream}, config: sasl.mechanism {MSK_IAM} also requires aws_region, because the brokers at "
            f"{uri} {what}"
        )
    return found.pop()


def token(region: str) -> tuple[str, float]:
    """
    A new token for the clusters of a region, and when it expires, in seconds since 1970.

    Raises:
        SettingError: a package is missing.
        BrokerError: there are no credentials, or none just now.
    """
    check_packages()
    try:
        frozen = credentials().get_frozen_credentials()
        # Once more looked up, they could be others by then, of which the signer would read a part each.
        provider = import_module("botocore.credentials").CredentialProvider()
        provider.load = lambda: frozen
        signer = import_module(SIGNER_MODULE)
        text, expires_ms = signer.generate_auth_token_from_credentials_provider(region, provider)
    except BrokerError:
        raise
    except Exception as error:  # whatever AWS's packages raise, which have no common base
        raise BrokerError(_reason(error)) from None
    return text, expires_ms / 1000


def check_packages() -> str:
    """
    The versions of the packages that signing needs. Raises SettingError: one is missing or too old, and what to do.
    """
    own = confluent_kafka.__version__
    if tuple(int(part) for part in re.findall(r"\d+", own)[:2]) < OLDEST_CONFLUENT_KAFKA:
        needed = ".".join(map(str, OLDEST_CONFLUENT_KAFKA))
        raise SettingError(f"the server's Python has confluent-kafka {own}, and {needed} or newer is needed; {REMEDY}")
    try:
        import_module(SIGNER_MODULE)
        return f"{SIGNER} {version(SIGNER)}, confluent-kafka {own}"
    except (ImportError, PackageNotFoundError) as error:
        reason = f" ({one_line(error, 100)})" if not isinstance(error, ModuleNotFoundError) else ""
        raise SettingError(f"the server's Python does not have {SIGNER}{reason}; {REMEDY}") from None


def credentials() -> Any:
    """
    The server's AWS credentials (`botocore.credentials.Credentials`): from its environment, its files, or the service
    of the machine or container that it runs on. Raises BrokerError: there are none.
    """
    config = import_module("botocore.config").Config(
        connect_timeout=CLIENT_TIMEOUT, read_timeout=CLIENT_TIMEOUT, retries={"total_max_attempts": 2}
    )
    try:
        session = import_module("botocore.session").Session()
        session.set_default_client_config(config)
        found = session.get_credentials()
    except Exception as error:  # as in `token`
        raise BrokerError(_reason(error)) from None
    if found is None:
        raise BrokerError(
            "the server finds no AWS credentials: give its machine, container or service account a role, or set "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its environment"
        )
    return found


def clock_skew(region: str) -> float | None:
    """How many seconds this machine's clock is ahead of AWS's; None: AWS does not answer."""
    # Not verified: a clock that is wrong by much has every certificate refused, and nothing but the time is read.
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(f"kafka.{region}.amazonaws.com", timeout=CLOCK_TIMEOUT, context=context)
    try:
        connection.request("HEAD", "/")
        told = parsedate_to_datetime(connection.getresponse().headers["Date"])
    except (OSError, http.client.HTTPException, TypeError, ValueError):
        return None
    finally:
        connection.close()
    return time.time() - told.timestamp()


def _reason(error: Exception) -> str:
    if type(error).__name__ == "CredentialRetrievalError":  # its text quotes what a program has written
        return f"AWS credentials from {getattr(error, 'kwargs', {}).get('provider', 'their provider')} cannot be had"
    return f"no AWS credentials: {type(error).__name__}: {one_line(error, 300)}"
