"""Numbers with their nouns."""


def counted(count: int, noun: str) -> str:
    """Return such as ``1 picture`` or ``1,200 pictures``; ``class`` becomes ``classes``."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"
