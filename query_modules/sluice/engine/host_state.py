"""What is known of the server that this process is, beyond its graph."""

from __future__ import annotations

from sluice.folding import REASONS, UNFOLDED, Need
from sluice.host.attempts import Attempts
from sluice.host.installation import Installation
from sluice.persistence.probe import Findings
from sluice.values.model import AS_EXPECTED, NOT_ASKED


class HostState:
    """What the supervisor found out, for workers and procedures. Threads: the supervisor writes; any may read."""

    def __init__(self, attempts: Attempts, installation: Installation) -> None:
        self.installation = installation
        "Whose streams are run here."
        self.attempts = attempts
        "Which streams' first transactions were in flight when the server ended."
        self.findings: Findings | None = None
        "What the probe found; None: it was not made yet."
        self.may_index_relationships = False
        "Whether there is an index on relationships, or that cannot be known."

    def lacks(self) -> frozenset[Need]:
        """What queries need and this server does not do; everything, as long as nobody has asked it."""
        if self.findings is None:
            return frozenset(Need)
        return frozenset([*self.findings.lacks, *([Need.RELATIONSHIPS] if self.may_index_relationships else [])])

    def limits(self) -> list[str]:
        """Why not everything is folded that could be, a line for each reason; none before the server was asked."""
        if self.findings is None:
            return []
        seen = self.findings.lacks
        lacks = sorted(self.lacks() - UNFOLDED)
        return [REASONS[need] + (f" ({seen[need]})" if seen.get(need) else "") for need in lacks]

    def summary(self) -> str:
        """What was found, in one line."""
        if self.findings is None:
            return NOT_ASKED
        if self.findings.refusal is not None:
            return self.findings.refusal
        return "; ".join(self.limits()) or f"{AS_EXPECTED}, asked in {self.findings.seconds * 1000:.1f} ms"
