"""
The end of the interpreter, as threads of ours meet it.
"""

from __future__ import annotations


def interpreter_ends(error: BaseException) -> bool:
    """
    Whether an exception says that the interpreter is ending: Python 3.12 and newer start no thread from then on, 3.12
    not even while it runs atexit handlers, which is when workers are still told to end.

    Source: `thread_PyThread_start_new_thread` and `Py_FinalizeEx` of CPython 3.12; seen with 3.12.1.
    """
    return isinstance(error, RuntimeError) and "interpreter shutdown" in str(error)
