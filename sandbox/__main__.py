"""`python -m sandbox --bolt-port N --data-directory D --query-modules-directory M --log-file F`."""

from __future__ import annotations

import sys

from sandbox.borrowed import borrowed_codec

with borrowed_codec():
    from sandbox.server import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
