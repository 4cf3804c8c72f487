"""How a round begins: its host is started, and gets what the transforms need, and the streams."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.faults.content import Poison, key_of, riders_script, script
from tests.faults.rig import Rig


def prepare(rig: Rig) -> None:
    """Starts the host, makes what the transforms need, and all streams, and starts these."""
    rig.host.start()
    rig.proxy.target = rig.host.port
    rig.host.run("CREATE INDEX ON :Shared(id)")
    if rig.plan.constrained:
        rig.host.run("CREATE CONSTRAINT ON (s:Shared) ASSERT s.id IS UNIQUE")
    for suffix in ("", *range(rig.plan.riders)):
        for partition in rig.layout.numbers:
            rig.host.run(f"CREATE (c:Counter{suffix} {{partition: $p, n: 0}})-[:LAST]->(c)", p=partition)
        rig.host.run(f"CREATE INDEX ON :Counter{suffix}(partition)")
    _poison(rig)
    gates = rig.folder / "gates"
    gates.mkdir()
    plan = rig.plan
    passes = {"on_gap": "skip"} if plan.has_side else {}
    lanes = {"lanes": plan.lanes} if plan.lanes > 1 else {}
    letters = {} if rig.letters is None else {"dead_letter_topic": rig.letters}
    text = script(gates, chained=plan.chained, shares=plan.shares)
    _create(rig, rig.stream, text, {**plan.config, **passes, **lanes, **letters})
    for number, name in enumerate(rig.riders):
        _create(rig, name, riders_script(number, shares=plan.shares), passes)
        rig.insist("CALL streams.start($name)", name=name)
    rig.start_stream()


def _poison(rig: Rig) -> None:
    """What the queries of poisoned messages need."""
    rig.host.run("CREATE INDEX ON :Gate(key)")
    poisons = rig.content.poisons
    keys = [key_of(place) for place, poison in poisons.items() if poison is not Poison.TRANSFORM]
    rig.host.run("UNWIND $keys AS key CREATE (:Gate {key: key})", keys=keys)
    if Poison.COMMIT in poisons.values():
        rig.host.run("CREATE CONSTRAINT ON (r:Required) ASSERT EXISTS (r.value)")


def _create(rig: Rig, name: str, text: str, config: Mapping[str, Any]) -> None:
    transform: Path = rig.folder / f"{name}.py"
    transform.write_text(text, encoding="utf-8")
    rig.host.run(
        "CALL streams.create($name, $uri, $topic, $transform, 50, $size, $config)",
        name=name,
        uri=rig.broker.bootstrap,
        topic=rig.layout.named,
        transform=str(transform),
        size=rig.plan.batch_size,
        config=config,
    )
