"""A schema registry that is really run, for soak tests: Apicurio, which speaks Confluent's REST API as well."""

from tests.registry.apicurio import Apicurio, ApicurioUnavailable

__all__ = ["Apicurio", "ApicurioUnavailable"]
