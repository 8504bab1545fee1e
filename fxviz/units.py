"""Numbers as people write them: ``11.69M``, ``1.82 GMACs``, ``71.8%``, ``64×56×56``."""

from __future__ import annotations

from collections.abc import Sequence

_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: int) -> str:
    """A count of parameters: four significant digits from a million on, one decimal for thousands.

    >>> [count(n) for n in (768, 9536, 147712, 11689512, 138357544)]
    ['768', '9.5k', '147.7k', '11.69M', '138.4M']
    >>> count(999_960), count(70_553_706_496)
    ('1.00M', '70.55B')
    """
    if value < 1000:
        return str(value)
    if round(value / 1e3, 1) < 1000:
        return f"{value / 1e3:.1f}k"
    if round(value / 1e6, 2) < 1000:
        return _four_digits(value / 1e6) + "M"
    return _four_digits(value / 1e9) + "B"


def macs(value: int) -> str:
    """Multiply-accumulate operations (1 MAC = 2 FLOPs) with their unit.

    >>> macs(1_814_073_344), macs(0), macs(15_470_264_320)
    ('1.81 GMACs', '0 MACs', '15.47 GMACs')
    """
    for size, prefix in _STEPS:
        if value >= size * 0.999995:
            return f"{_four_digits(value / size)} {prefix}MACs"
    return f"{value} MACs"


def seconds(value: float) -> str:
    """A duration given in seconds.

    >>> seconds(0.00123), seconds(0.0000042), seconds(0.1234), seconds(2.5)
    ('1.23 ms', '0.004 ms', '123.4 ms', '2.50 s')
    """
    if value >= 1:
        return f"{value:.2f} s"
    milliseconds = value * 1000
    return f"{milliseconds:.3f} ms" if milliseconds < 0.1 else f"{_four_digits(milliseconds)} ms"


def percent(share: float) -> str:
    """A share between 0 and 1: one decimal from 1 % on, two below, never a false zero.

    >>> [percent(s) for s in (0.7182, 0.0439, 0.0032, 0.000002, 0.0, 1.0)]
    ['71.8%', '4.4%', '0.32%', '<0.01%', '0%', '100.0%']
    """
    if share == 0:
        return "0%"
    if share < 0.0001:
        return "<0.01%"
    return f"{share:.2%}" if share < 0.00995 else f"{share:.1%}"


def shape(sizes: Sequence[int]) -> str:
    """A tensor's shape.

    >>> shape((1, 3, 224, 224)), shape(())
    ('1×3×224×224', 'scalar')
    """
    return "×".join(map(str, sizes)) or "scalar"


def _four_digits(value: float) -> str:
    return f"{value:.2f}" if round(value, 2) < 100 else f"{value:.1f}"
