"""The encodings that a landed file may have: UTF-8, or one of those that have one byte a character and begin with ASCII."""

from __future__ import annotations

from dataclasses import dataclass

UTF_8 = "utf-8"
SINGLE_BYTE = (
    "ascii", "latin-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15", "windows-1250", "windows-1251", "windows-1252",
    "windows-1253", "windows-1254", "windows-1257", "koi8-r", "cp437", "cp850", "cp852", "cp866", "mac-roman",
)  # fmt: skip
"""Python's names. (Two bytes a character can't be told from Latin-1, so that a wrong name would be found by nobody.)"""
ENCODINGS = (UTF_8, *SINGLE_BYTE)


@dataclass(frozen=True)
class UpperHalf:
    """The bytes 128 to 255 of an encoding, each as the character that Latin-1 gives it."""

    defined: str
    """Those that stand for a character."""
    meanings: str
    """The characters that they stand for, in the same order."""
    undefined: str
    """Those that stand for nothing."""


def upper_half(encoding: str) -> UpperHalf:
    """What one of SINGLE_BYTE makes of the upper bytes."""
    meanings = {chr(byte): bytes([byte]).decode(encoding, errors="ignore") for byte in range(128, 256)}
    defined = {byte: meaning for byte, meaning in meanings.items() if meaning}
    return UpperHalf("".join(defined), "".join(defined.values()), "".join(byte for byte in meanings if byte not in defined))
