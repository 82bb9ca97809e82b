"""What generates answers: a model in this process, vLLM, or a server with an OpenAI-compatible API."""

from __future__ import annotations

from .backend import Backend, Reply, Request

__all__ = ["Backend", "Reply", "Request"]
