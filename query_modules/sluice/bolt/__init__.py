"""
Bolt, the database's wire protocol: values, chunks, messages, and a pipelined client.

`packstream` (values <-> bytes), `framing` (messages <-> chunks) and `messages` (the protocol's requests) do no I/O.
`transport` and `client` are what the loopback connection runs on. Of Sluice, this package imports only `sluice.errors`.
"""
