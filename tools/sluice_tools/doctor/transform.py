"""
A transform script: whether the server may fetch it, and what is at its URI.

It is fetched from this machine, and never run.
"""

from __future__ import annotations

import ast
import dataclasses

from sluice.errors import ScriptError
from sluice.host.allow_list import DEFAULT, AllowList, shown
from sluice.host.settings import Settings, variable
from sluice.host.transform_access import SANDBOX
from sluice.scripting import script
from sluice.scripting.bundle import script_of
from sluice.scripting.contract import STREAM, STREAM_MESSAGES
from sluice_tools.doctor.checks import FROM_HERE, Finding, fix, note

ALLOW, LISTED, KEY = variable("transform_allow"), variable("transform_sha256"), variable("signing_key_file")


def examine_transform(uri: str, settings: Settings, allowed_there: str | None = None) -> str | Finding:
    """
    Whether the server may fetch the script, and what there is.

    Args:
        settings: how long to wait, and how much to take.
        allowed_there: the server's allow-list; None: the default.
    """
    allow = AllowList.parse(DEFAULT if allowed_there is None else allowed_there)
    reason = script.refusal(uri, allow)
    if reason is not None:
        remedy = f"give a URI that is allowed, or have {ALLOW} allow this one in the server's environment"
        return fix(f"the server refuses {shown(uri)}: {reason}", remedy)
    try:
        source = script_of(script.fetch(uri, dataclasses.replace(settings, transform_allow=allow)).source)
    except ScriptError as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        remedy = "put the script where the URI says, or give the URI where it is; a file is one of the server's machine"
        return fix(f"{error}{cause}", remedy)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        return fix(f"{uri} is no Python: {error}", f"correct line {line}" if line else "correct the script")
    entries = [name for name in (STREAM, STREAM_MESSAGES) if any(_defines(name, node) for node in tree.body)]
    if len(entries) > 1:
        remedy = "keep the one that is meant"
        return fix(f"{uri} defines both {STREAM}(batch) and {STREAM_MESSAGES}(batch)", remedy)
    if not entries:
        remedy = f"give it a function {STREAM}(batch) that returns a list of pairs (query, parameters)"
        return note(f"{uri} defines no {STREAM} at its top level, as far as can be seen; {remedy}")
    return f"{uri} is allowed, can be fetched, {FROM_HERE}, and has a function {entries[0]}"


def examine_admission(key: str | None, listed: str | None) -> str | Finding:
    """
    What outside the graph vouches for the scripts that the server runs.

    Args:
        key: the server's setting KEY; None where it does not tell.
        listed: the server's setting LISTED.
    """
    if listed:
        return f"only scripts that {listed} lists run ({LISTED}, a file of the server's machine)"
    if not key:
        return note("the server does not say by which key it knows the scripts that it has fetched")
    return f"those that were fetched are signed with the key {key}, of the server's machine ({KEY})"


def examine_confinement(reported: str | None) -> str | Finding:
    """What transforms are kept from. `reported`: what `streams.settings` says about it; None if it says nothing."""
    if not reported:
        return note("the server does not report what its transforms are kept from")
    if reported.startswith("refused"):
        return fix(f"no transform runs: {reported}", f"set {SANDBOX}=auto, or move to a kernel that supports it all")
    if reported.startswith("off"):
        return note(f"transforms may do what the server's user may: {reported}; {SANDBOX}=auto confines them")
    return note(f"transforms are {reported}") if "not from" in reported else f"transforms are {reported}"


def _defines(name: str, node: ast.stmt) -> bool:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name == name
    if isinstance(node, ast.Assign):
        return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    if isinstance(node, ast.Import | ast.ImportFrom):
        return any((alias.asname or alias.name) == name for alias in node.names)
    return False
