"""Fonts of names in figures: classes, speakers and titles of any script, and of any bytes.

Matplotlib's own font has no glyphs of many scripts, such as Chinese, Devanagari or Thai. Installed
fonts that have them are used; a character of none, and one that cannot be seen, is escaped.
"""

import functools
import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

FAMILY = "DejaVu Sans"
"""Font of all figures, which comes with Matplotlib."""

# It has a frame with the name of the script in place of every character.
_PLACEHOLDERS = "Last Resort"
_JOINERS = "\u200c\u200d"  # invisible, and a part of words of some scripts


def drawable(names: Sequence[str]) -> list[str]:
    r"""Returns names as a figure shows them, and adds fonts for them to Matplotlib's settings.

    It is called within `serjax.report.plots.drawing.styled`, which restores the settings.

    Args:
        names: Names of classes or the like.

    Returns:
        The names, in which characters that no font has and control characters are escaped, such as
        `\u6124` and `\n`.
    """
    import matplotlib

    families, missing = _fonts(_characters(names))
    matplotlib.rcParams["font.family"] = [FAMILY, *families]
    return ["".join(map(functools.partial(_shown, missing=missing), name)) for name in names]


def font_note(names: Sequence[str]) -> str | None:
    """Describes the characters of names that no installed font has; None if there are none.

    Args:
        names: Names of classes or the like.
    """
    _, missing = _fonts(_characters(names))
    if not missing:
        return None
    first = " ".join(sorted(missing)[:10])
    return (
        f"figures show {len(missing)} characters by their numbers, because no installed font has "
        f"them: {first}; install one that has, such as Noto Sans"
    )


def _characters(names: Iterable[str]) -> frozenset[str]:
    """Returns the visible characters of names, ASCII aside."""
    return frozenset(c for name in names for c in name if c.isprintable() and not c.isascii())


def _shown(character: str, missing: frozenset[str]) -> str:
    if character in missing or not (character.isprintable() or character in _JOINERS):
        return character.encode("unicode_escape").decode()
    return character


@functools.lru_cache
def _fonts(characters: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Returns the families that have the characters `FAMILY` lacks, and those that none has."""
    from matplotlib import font_manager

    missing = characters - _available(font_manager.findfont(FAMILY), characters)
    families: list[str] = []
    if missing:
        manager = font_manager.fontManager
        paths = {each.name: each.fname for each in reversed(manager.ttflist)}
        found = {
            name: _available(path, missing)
            for name, path in sorted(paths.items())
            if not name.startswith(_PLACEHOLDERS)
        }
        # The font that has the most comes first, so that a word is of one font if possible.
        while best := max(found, key=lambda name: len(found[name] & missing), default=None):
            if not found[best] & missing:
                break
            families.append(best)
            missing -= found[best]
    return tuple(families), missing


def _available(path: str, characters: frozenset[str]) -> frozenset[str]:
    """Returns the characters that a font can draw at any size."""
    font = _open(path)
    if font is None or not font.scalable:
        return frozenset()
    return frozenset(c for c in characters if font.get_char_index(ord(c)))


def _open(path: str) -> "FT2Font | None":
    """Opens a font; None if the file is damaged or not there any more."""
    from matplotlib import font_manager

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return font_manager.get_font(path)
        except (OSError, RuntimeError):
            return None
