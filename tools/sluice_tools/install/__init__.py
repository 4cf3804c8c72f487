"""
Installs the query modules where a Memgraph server loads them, and removes them: `sluice install`, `sluice uninstall`.

    places   where a server loads modules, and which Python it embeds
    copies   what is put there: compared, staged, exchanged in one step, listed in a manifest, removed by it
    command  the two commands

For the command line; nothing of it runs inside a server.
"""
