"""The contract of the block reader once more: slow, byte by byte, over the whole input at once."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Answer:
    header: list[str] | None = None
    rows: list[tuple[int, list[str | None]]] = field(default_factory=list)
    bad: list[tuple[int, bytes, str]] = field(default_factory=list)
    blank: int = 0
    starts: dict[int, bytes] = field(default_factory=dict)  # every record's first line, and its bytes
    header_rule: str | None = None


def physical_lines(data: bytes) -> list[tuple[bytes, bytes]]:
    """Content and line end of each physical line."""
    data = data[3:] if data.startswith(b"\xef\xbb\xbf") else data
    old_mac = b"\n" not in data and b"\r" in data
    lines = []
    content = b""
    for i in range(len(data)):
        byte = data[i : i + 1]
        ends = byte == (b"\r" if old_mac else b"\n")
        if not ends:
            content += byte
        elif not old_mac and content.endswith(b"\r"):
            lines.append((content[:-1], b"\r\n"))
            content = b""
        else:
            lines.append((content, byte))
            content = b""
    if content and not old_mac and content.endswith(b"\r"):
        lines.append((content[:-1], b"\r"))
    elif content:
        lines.append((content, b""))
    return lines


def split(lines: list[tuple[bytes, bytes]], at: int, delimiter: bytes, most: int) -> tuple[list[bytes], int] | None:
    """Fields of the record that begins on a line, and its number of lines; None if its quotes are wrong."""
    fields: list[bytes] = []
    value = b""
    state = "start"  # start | plain | quoted | closed
    for used in range(1, most + 1):
        if at + used > len(lines):
            return None
        content, end = lines[at + used - 1]
        i = 0
        while i < len(content):
            byte = content[i : i + 1]
            if state == "quoted":
                if byte != b'"':
                    value += byte
                elif content[i + 1 : i + 2] == b'"':
                    value += b'"'
                    i += 1
                else:
                    state = "closed"
            elif byte == delimiter:
                fields.append(value)
                value, state = b"", "start"
            elif state == "closed":
                return None
            elif state == "start" and byte == b'"':
                state = "quoted"
            else:
                value += byte
                state = "plain"
            i += 1
        if state != "quoted":
            return [*fields, value], used
        value += end
    return None


def is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def read(data: bytes, *, delimiter: str = ",", max_record_lines: int = 100) -> Answer:
    """Everything the reader should say of ``data``."""
    answer = Answer()
    lines = physical_lines(data)
    at = 0
    while at < len(lines):
        content = lines[at][0]
        if all(byte in b" \t\r\n" and byte != ord(delimiter) for byte in content):
            answer.blank += 1
            at += 1
            continue
        found = split(lines, at, delimiter.encode(), max_record_lines)
        fields, used = found or ([], 1)
        raw = b"".join(c + e for c, e in lines[at : at + used])
        raw = raw[: len(raw) - len(lines[at + used - 1][1])]
        answer.starts[at + 1] = raw
        if not found:
            rule = "bad_quoting"
        elif b"\0" in raw:
            rule = "nul_byte"
        elif not is_utf8(raw):
            rule = "bad_encoding"
        elif answer.header is not None and len(fields) != len(answer.header):
            rule = "too_few_fields" if len(fields) < len(answer.header) else "too_many_fields"
        else:
            rule = None
        if answer.header is None:
            if rule:
                answer.header_rule = rule
                return answer
            answer.header = [f.decode().strip() for f in fields]
        elif rule:
            answer.bad.append((at + 1, raw, rule))
        else:
            answer.rows.append((at + 1, [f.decode() or None for f in fields]))
        at += used
    return answer
