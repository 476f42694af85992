"""Bytes that a parser must survive."""

from hypothesis import strategies as st


def damaged(good: bytes) -> st.SearchStrategy[bytes]:
    """Bytes of nothing known, beginnings of a good file, and good files with changed bytes."""
    change = st.tuples(st.integers(0, len(good) - 1), st.binary(min_size=1, max_size=6))

    def changed(changes: list[tuple[int, bytes]]) -> bytes:
        out = bytearray(good)
        for place, new in changes:
            out[place : place + len(new)] = new
        return bytes(out)

    return st.one_of(
        st.binary(max_size=300),
        st.integers(0, len(good)).map(lambda length: good[:length]),
        st.lists(change, min_size=1, max_size=5).map(changed),
    )
