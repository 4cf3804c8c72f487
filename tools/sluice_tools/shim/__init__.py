"""
The shim: a Bolt proxy that rewrites the stream clauses into CALLs and passes everything else byte for byte.

`splitter`, `handshake`, `exchanges`, `rewriting` and `session` do no I/O; `connection`, `proxy` and `service` do.
"""
