"""How threads of Sluice meet the end of the interpreter."""

from __future__ import annotations


def interpreter_ends(error: BaseException) -> bool:
    """
    Whether an exception says that the interpreter is ending: Python 3.12 and newer start no threads from then on. 3.12
    does not even do so while it runs atexit handlers, which is when workers are asked to end.

    Source: `thread_PyThread_start_new_thread` and `Py_FinalizeEx` of CPython 3.12; seen with 3.12.1.
    """
    return isinstance(error, RuntimeError) and "interpreter shutdown" in str(error)
