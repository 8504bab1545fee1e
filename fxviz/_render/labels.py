"""HTML-like labels: a table of cells as Graphviz reads it."""

from __future__ import annotations

from fxviz._render.drawing import Cell, Color, Table, Text
from fxviz._render.escaping import dot_name, label_text, plain

Attribute = str | float | None

_STRUT = '<font point-size="10"> </font>'
"""An empty run that gives every text of a row the same baseline, whatever its size."""


def table(value: Table, dark: bool = False, newline: str = "") -> str:
    """A table as an HTML-like label, in light or dark colours, with ``newline`` before each row.

    >>> table(Table(((Cell((Text("<conv>", Color("#1f2328", "#e6edf3"), 9),)),),)))  # doctest: +ELLIPSIS
    '<table border="0" ...><tr><td align="left"><font color="#1f2328" point-size="9">&lt;conv&gt;</font></td></tr></table>'
    """
    rows = "".join(f"{newline}<tr>{_row(row, dark)}</tr>" for row in value.rows if row)
    return _tag("table", rows or "<tr><td></td></tr>", **_table_attributes(value, dark))


def _row(row: tuple[Cell, ...], dark: bool) -> str:
    return "".join(_cell(cell, dark) for cell in row)


def _table_attributes(value: Table, dark: bool) -> dict[str, Attribute]:
    return {
        "border": 1 if value.border else 0,
        "color": hex_of(value.border, dark),
        "bgcolor": hex_of(value.fill, dark),
        "cellborder": 0,
        "cellspacing": round(value.gap),
        "cellpadding": round(value.padding),
        **_size(value),
    }


def _cell(cell: Cell, dark: bool) -> str:
    return _tag("td", _content(cell, dark), **_cell_attributes(cell, dark))


def _cell_attributes(cell: Cell, dark: bool) -> dict[str, Attribute]:
    return {
        "align": cell.align if cell.content or cell.rail else None,
        "bgcolor": hex_of(cell.fill, dark),
        "colspan": cell.columns if cell.columns > 1 else None,
        "port": None if cell.port is None else dot_name(cell.port),
        **_size(cell),
    }


def _content(cell: Cell, dark: bool) -> str:
    if cell.rail:
        return table(_railed(cell), dark)
    if isinstance(cell.content, Table):
        return table(cell.content, dark)
    return _texts(cell.content, dark, strut=cell.height is not None)


def _railed(cell: Cell) -> Table:
    """A narrow filled cell at the left, the cell's own content beside it."""
    rest = None if cell.width is None else cell.width - cell.rail_width
    rail = Cell(width=cell.rail_width, height=cell.height, fill=cell.rail)
    return Table(((rail, Cell(cell.content, rest, cell.height, align=cell.align)),))


def _texts(texts: tuple[Text, ...], dark: bool, strut: bool) -> str:
    runs = "".join(_run(text, dark) for text in texts if plain(text.text))
    return runs + _STRUT if runs and strut else runs


def _run(text: Text, dark: bool) -> str:
    inner = label_text(text.text)
    inner = f"<s>{inner}</s>" if text.struck else inner
    return _tag("font", f"<b>{inner}</b>" if text.bold else inner, color=hex_of(text.color, dark), point__size=text.size)


def _size(value: Cell | Table) -> dict[str, Attribute]:
    """Width and height in whole points, which is all that Graphviz reads; both together are kept whatever the content needs."""
    width, height = value.width, value.height
    return {
        "fixedsize": "true" if width is not None and height is not None else None,
        "width": None if width is None else round(width),
        "height": None if height is None else round(height),
    }


def hex_of(color: Color | None, dark: bool) -> str | None:
    """A colour's value in one theme.

    >>> hex_of(Color("#ffffff", "#151b23"), dark=True)
    '#151b23'
    """
    if color is None:
        return None
    return color.dark if dark else color.light


def _tag(name: str, content: str, **attributes: Attribute) -> str:
    given = "".join(f' {key.replace("__", "-")}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    return f"<{name}{given}>{content}</{name}>"


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"
