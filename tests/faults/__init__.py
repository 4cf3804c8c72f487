"""
The fault harness: a stream is fed known content while faults are injected, then the graph is compared with Kafka,
message by message.

`python -m tests.faults` runs it, one round for each kind of fault (`kinds`); each round (`rounds`) has a host of its
own behind a proxy that cuts connections (`proxy`), and is fed and looked after by `rig`. `content` makes the messages
and the transform, `compare` has the last word. `variants` are products that are broken on purpose: the harness finds
that.
"""
