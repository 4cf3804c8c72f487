"""
The shim: a Bolt proxy that rewrites the stream clauses into CALLs and passes everything else byte for byte.

`splitter`, `handshake`, `sign_in`, `exchanges`, `readers`, `rewriting`, `session` and `lifecycle` do no I/O; `peer`,
`connection`, `proxy` and `service` do.
"""
