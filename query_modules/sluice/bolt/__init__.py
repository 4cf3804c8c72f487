"""
Bolt, the database's wire protocol: values, chunks, messages, a pipelined client and a proxy.

`packstream` (values <-> bytes), `framing` (messages <-> chunks) and `messages` (the protocol's verbs) do no I/O.
`transport` and `client` are what the loopback runs on. Nothing here imports anything of ours but `sluice.errors`.
"""
