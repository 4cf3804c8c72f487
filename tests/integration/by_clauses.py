"""
A stream that is steered by its clauses, through a shim. Holds no test.
"""

from __future__ import annotations

from typing import Any

import neo4j
import pytest

from tests.integration.configured import Configured
from tests.integration.test_kit import Row


class Clauses(Configured):
    """A stream that is steered by clauses."""

    def __init__(self, driver: neo4j.Driver, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.driver = driver

    def clause(self, text: str, **parameters: Any) -> tuple[list[str], list[Row]]:
        """The columns and the rows of a clause; NAME, TOPIC and BROKER stand for the stream's."""
        for word, value in (("NAME", self.name), ("TOPIC", self.topic), ("BROKER", self.kafka.bootstrap)):
            text = text.replace(f"«{word}»", value)
        with self.driver.session() as session:
            result = session.run(text, parameters)
            return list(result.keys()), result.data()

    def refused(self, text: str, **parameters: Any) -> str:
        """The message of a clause that is refused."""
        with pytest.raises(neo4j.exceptions.Neo4jError) as caught:
            self.clause(text, **parameters)
        return str(caught.value.message)
