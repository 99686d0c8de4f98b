"""Numbers to lines of text, a column at a time; the lines of a chunk are one piece of memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Chars = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines in one piece of memory: line ``i`` is ``data[offsets[i]:offsets[i + 1]]``, its newline included."""

    data: memoryview
    offsets: NDArray[np.int32]

    @classmethod
    def none(cls) -> Lines:
        """No lines at all."""
        import numpy as np

        return cls(memoryview(b""), np.zeros(1, dtype=np.int32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def text(self, i: int) -> bytes:
        """Line ``i`` without its newline."""
        return bytes(self.data[self.offsets[i] : self.offsets[i + 1] - 1])


def lines(*columns: pa.Array) -> Lines:
    """Lines of text columns; what is null is empty.

    Examples
    --------
    >>> import pyarrow as pa
    >>> both = lines(pa.array(["1", "2"]), pa.array(["a", None]))
    >>> bytes(both.data), both.text(1)
    (b'1,a\\n2,\\n', b'2,')
    """
    import numpy as np
    import pyarrow.compute as pc

    ended = pc.binary_join_element_wise(columns[-1], "", "\n", null_handling="replace", null_replacement="")
    whole = pc.binary_join_element_wise(*columns[:-1], ended, ",", null_handling="replace", null_replacement="")
    _, buffer, data = whole.buffers()
    offsets = np.frombuffer(buffer, np.int32)[: len(whole) + 1]
    return Lines(memoryview(data)[: offsets[-1]], offsets)


def fixed(chars: Chars) -> pa.Array:
    """Texts of one width, from a row of characters each."""
    import numpy as np
    import pyarrow as pa

    count, width = chars.shape
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(width)
    data = np.ascontiguousarray(chars)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def plain(numbers: NDArray[Any]) -> pa.Array:
    """Whole numbers as text."""
    import pyarrow as pa

    return pa.array(numbers).cast(pa.string())


def coded(texts: Any, codes: NDArray[Any]) -> pa.Array:
    """The text for each code."""
    import pyarrow as pa

    texts = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())
    return texts.take(pa.array(codes))


def sparse(where: NDArray[np.bool_], texts: pa.Array, other: str = "") -> pa.Array:
    """``texts`` where the condition holds, one after the other, and ``other`` elsewhere."""
    import numpy as np
    import pyarrow as pa

    code = np.where(where, np.cumsum(where), 0)
    return coded(pa.concat_arrays([pa.array([other], pa.string()), texts]), code)


@cache
def _decimal(width: int) -> Chars:
    import numpy as np

    return np.array([list(f"{n:0{width}d}".encode()) for n in range(10**width)], dtype=np.uint8)


@cache
def _hexadecimal() -> Chars:
    import numpy as np

    return np.array([list(f"{n:02x}".encode()) for n in range(256)], dtype=np.uint8)


def padded(prefix: str, numbers: Ints, digits: int = 9) -> pa.Array:
    """Numbers below 10**digits with zeros in front; ``digits`` is a multiple of 3.

    Examples
    --------
    >>> import numpy as np
    >>> padded("v", np.array([7, 123_456]), 6).to_pylist()
    ['v000007', 'v123456']
    """
    import numpy as np

    ends = len(prefix) + digits
    chars = np.empty((len(numbers), ends), dtype=np.uint8)
    chars[:, : len(prefix)] = np.frombuffer(prefix.encode(), dtype=np.uint8)
    left = numbers
    for end in range(ends, len(prefix), -3):
        left, three = np.divmod(left, 1_000)
        chars[:, end - 3 : end] = _decimal(3)[three]
    return fixed(chars)


def hexadecimal(numbers: Ints, salt: int) -> pa.Array:
    """16 hexadecimal digits that look like chance, one to one.

    Examples
    --------
    >>> import numpy as np
    >>> hexadecimal(np.array([0, 1]), 3).to_pylist()
    ['0000000000000003', 'ca009717327d1f71']
    """
    import numpy as np

    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) + np.uint64(salt)
    octets = mixed.astype(">u8").view(np.uint8).reshape(-1, 8)
    return fixed(_hexadecimal()[octets].reshape(-1, 16))


def iso(millis: Ints) -> pa.Array:
    """Milliseconds since 1970 as ISO 8601 in UTC.

    Examples
    --------
    >>> import numpy as np
    >>> iso(np.array([1_767_607_402_123])).to_pylist()
    ['2026-01-05T10:03:22.123Z']
    """
    import numpy as np

    chars = np.empty((len(millis), 24), dtype=np.uint8)
    day, left = np.divmod(millis, 86_400_000)
    days, code = np.unique(day, return_inverse=True)
    names = np.datetime_as_string(days.astype("datetime64[D]")).astype("S10") if len(days) else np.zeros(0, "S10")
    chars[:, :10] = names.view(np.uint8).reshape(-1, 10)[code]
    for at, mark in ((10, "T"), (13, ":"), (16, ":"), (19, "."), (23, "Z")):
        chars[:, at] = ord(mark)
    two = _decimal(2)
    second, thousandth = np.divmod(left.astype(np.int32), 1_000)
    minute, second = np.divmod(second, 60)
    hour, minute = np.divmod(minute, 60)
    chars[:, 11:13], chars[:, 14:16], chars[:, 17:19] = two[hour], two[minute], two[second]
    chars[:, 20:23] = _decimal(3)[thousandth]
    return fixed(chars)


def cents(values: NDArray[Any]) -> pa.Array:
    """Cents as text with two decimals.

    Examples
    --------
    >>> import numpy as np
    >>> cents(np.array([5, 1995])).to_pylist()
    ['0.05', '19.95']
    """
    import numpy as np
    import pyarrow.compute as pc

    whole, rest = np.divmod(values.astype(np.int64), 100)
    return pc.binary_join_element_wise(plain(whole), fixed(_decimal(2)[rest]), ".")
