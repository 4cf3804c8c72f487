"""All that is fuzzed, by name."""

from __future__ import annotations

from tests.fuzz import stored, texts, wire

TARGETS = {target.name: target for target in (*wire.TARGETS, *texts.TARGETS, *stored.TARGETS)}
