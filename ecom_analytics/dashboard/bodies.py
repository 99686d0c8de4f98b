"""Bodies of responses: text that is gzipped once, and problems in RFC 9457 form."""

from __future__ import annotations

import gzip
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ecom_analytics.answers import json_text

if TYPE_CHECKING:
    from flask import Response

    from ecom_analytics.answers.ready import Ready

WORTH_ZIPPING = 500
"""Bytes; shorter answers go as they are."""

RETRY_SECONDS = 5


class Body:
    """The bytes of an answer, and gzipped once someone wants it so."""

    def __init__(self, content: str | bytes, more: str | None = None) -> None:
        self.plain = content.encode() if isinstance(content, str) else content
        self.more = more

    @classmethod
    def of(cls, answer: Ready) -> Body:
        """The body of an answer that was computed, and gzipped, before."""
        body = cls(gzip.decompress(answer.zipped), answer.more)
        body.zipped = answer.zipped
        return body

    @cached_property
    def zipped(self) -> bytes:
        return gzip.compress(self.plain, 6, mtime=0)

    def respond(self, content_type: str, *, packed: bool = False) -> Response:
        """The body as the client of this request takes it; ``packed`` ones are not gzipped again."""
        from flask import Response, request

        zipped = not packed and len(self.plain) >= WORTH_ZIPPING and request.accept_encodings["gzip"] > 0
        answer = Response(self.zipped if zipped else self.plain, content_type=content_type)
        if zipped:
            answer.headers["Content-Encoding"] = "gzip"
        answer.headers["Vary"] = "Accept-Encoding"
        return answer


def problem(status: int, title: str, detail: str, **facts: Any) -> Response:
    """An error as ``application/problem+json``."""
    from flask import Response

    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **facts}
    answer = Response(json_text(body), status=status, content_type="application/problem+json")
    answer.headers["Cache-Control"] = "no-store"
    if status == 503:
        answer.headers["Retry-After"] = str(RETRY_SECONDS)
    return answer
