"""Format numbers for readers: ``11.69M``, ``1.82 GMACs``, ``71.8%``, ``64×56×56``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_COUNTS = ((1e3, "k"), (1e6, "M"), (1e9, "B"))
_STEPS = ((1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))


def count(value: int) -> str:
    """Format a count for figures: four significant digits from a million up, one decimal for thousands.

    >>> [count(n) for n in (768, 9536, 147712, 11689512, 138357544)]
    ['768', '9.5k', '147.7k', '11.69M', '138.4M']
    >>> count(999_960), count(999_960_000), count(70_553_706_496)
    ('1.00M', '1.00B', '70.55B')
    """
    if 1000 <= value < 999_950:
        return f"{value / 1000:.1f}k"
    digits, unit = _scaled(value, _COUNTS, _four_digits)
    return digits + unit


def hundredths(value: int) -> str:
    """Format a count for sentences, with two decimals, so that readers can check sums and ratios.

    >>> [hundredths(n) for n in (768, 9536, 11_689_512, 138_357_544, 6_607_343_616)]
    ['768', '9.54k', '11.69M', '138.36M', '6.61B']
    """
    digits, unit = _scaled(value, _COUNTS, "{:.2f}".format)
    return digits + unit


def macs(value: int) -> str:
    """Format multiply-accumulate operations (1 MAC = 2 FLOPs) with their unit.

    >>> macs(1_814_073_344), macs(0), macs(15_470_264_320), macs(999_970_000)
    ('1.81 GMACs', '0 MACs', '15.47 GMACs', '1.00 GMACs')
    """
    digits, prefix = _scaled(value, _STEPS, _four_digits)
    return f"{digits} {prefix}MACs"


def short_macs(value: int) -> str:
    """Format multiply-accumulate operations without their unit, under a heading that names it.

    >>> short_macs(118_013_952), short_macs(12_990), short_macs(0)
    ('118.0M', '12.99k', '0')
    """
    return "".join(_scaled(value, _STEPS, _four_digits))


def seconds(value: float) -> str:
    """Format a duration given in seconds.

    >>> seconds(0.00123), seconds(0.0000042), seconds(0.1234), seconds(0.99996), seconds(2.5)
    ('1.23 ms', '0.004 ms', '123.4 ms', '1.00 s', '2.50 s')
    """
    if value >= 0.99995:
        return f"{value:.2f} s"
    milliseconds = value * 1000
    return f"{milliseconds:.3f} ms" if milliseconds < 0.1 else f"{_four_digits(milliseconds)} ms"


def milliseconds(value: float) -> str:
    """Format a duration given in seconds as milliseconds, under a heading that names them; never a false zero.

    >>> milliseconds(0.00123), milliseconds(1.2345), milliseconds(0.0000002), milliseconds(0)
    ('1.230', '1,234.500', '<0.001', '0.000')
    """
    return "<0.001" if 0 < value < 0.000_000_5 else f"{value * 1000:,.3f}"


def memory(value: int) -> str:
    """Format bytes (1 MB = 10^6 bytes).

    >>> [memory(n) for n in (640, 64_000, 46_758_048, 999_960_000, 26_429_374_464)]
    ['640 bytes', '64.00 kB', '46.76 MB', '1.00 GB', '26.43 GB']
    """
    digits, prefix = _scaled(value, _STEPS, _four_digits)
    return f"{digits} {prefix}B" if prefix else f"{digits} bytes"


def percent(share: float) -> str:
    """Format a share between 0 and 1: one decimal from 1 % up, two below, never a false 0 % or 100 %.

    >>> [percent(s) for s in (0.7182, 0.0439, 0.0032, 0.000002, 0.0, 0.9997, 1.0)]
    ['71.8%', '4.4%', '0.32%', '<0.01%', '0%', '>99.9%', '100.0%']
    """
    if share == 0:
        return "0%"
    if share < 0.0001:
        return "<0.01%"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return f"{share:.2%}" if share < 0.00995 else f"{share:.1%}"


def ratio(value: float) -> str:
    """Format the ratio of two amounts.

    >>> [ratio(value) for value in (1.0, 1.0004, 1.04, 11.836, 0.12, 49532.6, 0.0004)]
    ['1x', '1.0004x', '1.04x', '11.8x', '0.12x', '49,533x', '0.0004x']
    """
    if value == 1:
        return "1x"
    if abs(value - 1) < 0.005:
        return f"{value:.4f}x"
    if value < 1.095:
        return f"{value:.2f}x" if value >= 0.01 else f"{value:.1g}x"
    return f"{value:.1f}x" if value < 100 else f"{value:,.0f}x"


def quantity(number: int, noun: str) -> str:
    """Format a number of things.

    >>> quantity(1, "layer"), quantity(1413, "layer")
    ('1 layer', '1,413 layers')
    """
    return f"{number:,} {noun}{'s' * (number != 1)}"


def shape(sizes: Sequence[int]) -> str:
    """Format a tensor's shape.

    >>> shape((1, 3, 224, 224)), shape(())
    ('1×3×224×224', 'scalar')
    """
    return "×".join(map(str, sizes)) or "scalar"


def _scaled(value: int, steps: Sequence[tuple[float, str]], write: Callable[[float], str]) -> tuple[str, str]:
    """Return the digits of a number in the first unit that leaves fewer than four before the point, and the unit."""
    if value < 1000:
        return str(value), ""
    written = ((write(value / size), unit) for size, unit in steps)
    return next((pair for pair in written if float(pair[0]) < 1000), (write(value / steps[-1][0]), steps[-1][1]))


def _four_digits(value: float) -> str:
    return f"{value:.2f}" if round(value, 2) < 100 else f"{value:.1f}"
