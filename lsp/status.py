"""What the server is doing, as one value: sent to clients that show it, told in words to others. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from engine.findings import Severity
from lsp.outages import State
from lsp.texts import Texts


@dataclass(frozen=True, slots=True)
class Status:
    """The notification `tenken/status`; see PROTOCOL.md."""

    state: State
    reason: str = ""
    findings: int = 0
    worst: Severity | None = None
    engine: str = ""
    adapter: str = ""
    pending_feedback: int = 0
    retry_in: int | None = None
    done: int | None = None
    total: int | None = None
    left_out: int = 0
    unknown: int = 0
    threads: int = 0
    threads_problem: str = ""

    def message(self, texts: Texts) -> str:
        """Return one sentence, nothing when idle."""
        if self.state is State.IDLE:
            return ""
        said = texts.state[self.state]
        return texts.state_reason.format(state=said, reason=self.reason) if self.reason else said

    def fields(self, texts: Texts) -> dict[str, object]:
        """Return it as the protocol has it."""
        return {
            "state": self.state.value,
            "health": self.state.health.value,
            "message": self.message(texts),
            "findings": self.findings,
            "worst": self.worst.value if self.worst else None,
            "engine": self.engine,
            "adapter": self.adapter,
            "pendingFeedback": self.pending_feedback,
            "retryIn": self.retry_in,
            "done": self.done,
            "total": self.total,
        }

    def lines(self, texts: Texts) -> list[str]:
        """Return all of it in words."""
        said = [self.message(texts) or texts.state[State.IDLE], texts.findings(self.findings)]
        if self.left_out:
            said.append(texts.files_left_out(self.left_out))
        if self.unknown:
            said.append(texts.files_not_reviewed(self.unknown))
        if self.threads:
            said.append(texts.threads(self.threads))
        if self.threads_problem:
            said.append(texts.threads_failed.format(reason=self.threads_problem))
        if self.pending_feedback:
            said.append(texts.feedback_waits(self.pending_feedback))
        if self.retry_in is not None:
            said.append(texts.retry_in(self.retry_in))
        if self.engine:
            said.append(texts.engine.format(engine=self.engine))
        if self.adapter:
            said.append(texts.adapter.format(adapter=self.adapter))
        return said
