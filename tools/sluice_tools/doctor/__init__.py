"""
Checks every component between a client and a stream's data, and reports that it is OK, or what to do: `sluice doctor`.

    findings  what is said
    server    the database: reached, signed in to, its version, our module in it, its role, its clock
    bolt      how a server is reached, and what may be wrong with that
    module    which version of the module a server has loaded
    streams   what the streams say of themselves
    kafka     brokers and topics
    transform a script
    shim      the proxy for the clauses
    command   the command

For the command line; nothing of it runs inside a server. It changes nothing: it reads, connects and hangs up.
"""
