"""
Fuzzers of every parser that takes bytes from outside: whatever arrives, nothing but our own errors comes out, and what
a parser has accepted is what its answer says.

    python -m tests.fuzz --seconds 3600 [NAME ...]     each of them for so long
    python -m tests.fuzz NAME --input 123              one input once more

`seeds/NAME.txt` holds what the inputs are made of, a Python literal of bytes on each line; an input that found
something is added there once it is mended. Seeds are made up and harmless: nothing here harms any other software.
"""
