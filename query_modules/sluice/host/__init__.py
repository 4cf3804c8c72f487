"""The server that the package runs in: settings, the allow-list of scripts, the server's flags and its log."""
