"""Numbers as text on the report page."""


def percent(fraction: float) -> str:
    """Formats a fraction as a percentage without its sign.

    Example:
        >>> percent(0.1234)
        '12.3'
    """
    return f"{100 * fraction:.1f}"


def count(number: int, noun: str) -> str:
    """Formats a number with its noun, in the plural where needed.

    Example:
        >>> count(1, "epoch"), count(2000, "epoch")
        ('1 epoch', '2,000 epochs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(seconds: float) -> str:
    """Formats a duration in seconds, minutes or hours.

    Example:
        >>> duration(1.5), duration(90), duration(5400)
        ('1.5 s', '1 min 30 s', '1 h 30 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
