"""Every model name is parsed or refused in one line, and what was parsed can be written again."""

from __future__ import annotations

import ast
from keyword import iskeyword
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fxviz._graph.errors import UnknownModel, UsageError
from fxviz._sources.expression import Attribute, Call, Expression, Item
from fxviz._sources.reference import Reference, parse

# -------------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet18", Reference("library", "torchvision", "resnet18")),
        ("timm:resnet18.a1_in1k", Reference("library", "timm", "resnet18.a1_in1k")),
        ("transformers:path/to/config.json", Reference("library", "transformers", "path/to/config.json")),
        ("out/graph.JSON", Reference("graph", "out/graph.JSON")),
        ("program.pt2", Reference("program", "program.pt2")),
        ("weights.safetensors", Reference("weights", "weights.safetensors")),
        ("net.py", Reference("file", "net.py")),
        ("my models/net.py:Net", Reference("file", "my models/net.py", "Net")),
        (r"C:\x\net.py:Net", Reference("file", r"C:\x\net.py", "Net")),
        ("net.py:Outer.pt2", Reference("file", "net.py", "Outer.pt2")),
        ("net.py:Net()", Reference("file", "net.py", "Net")),
        ("net.py:Net('a.py:B')", Reference("file", "net.py", "Net", (Call(("a.py:B",)),))),
        (
            "package.module:make(-1, x=(2, [None]))",
            Reference("module", "package.module", "make", (Call((-1,), {"x": (2, [None])}),)),
        ),
        (
            "net.py:Net(Config(depth=2, inner=Inner()), act=torch.nn.GELU, layers=[Layer(1)])",
            Reference(
                "file",
                "net.py",
                "Net",
                (
                    Call(
                        (Expression("Config", (Call((), {"depth": 2, "inner": Expression("Inner", (Call(),))}),)),),
                        {"act": Expression("torch.nn.GELU"), "layers": [Expression("Layer", (Call((1,)),))]},
                    ),
                ),
            ),
        ),
        ("package:build().encoder", Reference("module", "package", "build", (Call(), Attribute("encoder")))),
        (
            "net.py:make(3).blocks[0].fc",
            Reference("file", "net.py", "make", (Call((3,)), Attribute("blocks"), Item(0), Attribute("fc"))),
        ),
        ("net.py:MODELS['small'](3)", Reference("file", "net.py", "MODELS", (Item("small"), Call((3,))))),
        ("net.py:make()()", Reference("file", "net.py", "make", (Call(), Call()))),
        ("net.py:N(act=gelu)", Reference("file", "net.py", "N", (Call((), {"act": Expression("gelu")}),))),
        ("torchvision.models:resnet18", Reference("module", "torchvision.models", "resnet18")),
    ],
)
def test_what_a_name_leads_to(text: str, expected: Reference) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid model '': the name is empty; fxviz.list_models() shows all names"),
        (" resnet18", "invalid model ' resnet18': the name begins or ends with white space; remove it"),
        (
            "net.py\x00:N",
            r"invalid model 'net.py\x00:N': a name cannot contain control characters or line ends; remove them",
        ),
        ("net.py:", "missing name after 'net.py:': write the class or function, as in 'net.py:Net'"),
        (":Net", "invalid model ':Net': no file or module before the colon; write 'net.py:Net'"),
        (
            "models/net:Net",
            "unknown model 'models/net:Net': 'models/net' is not a module; write 'path/to/net.py:Net' or "
            "'package.module:Net'",
        ),
        (
            "resnet18(num_classes=3)",
            "invalid model 'resnet18(num_classes=3)': only a class or function takes arguments; name its file or "
            "module, as in 'net.py:Net(18)' or 'torchvision.models:resnet18(num_classes=10)'",
        ),
        ("net.py:1", "cannot read 'net.py:1': '1' is not the name of a class or function; write 'net.py:Net'"),
        ("net.py:N(", "cannot read 'net.py:N(': a parenthesis or bracket is not closed; end with ')' or ']'"),
        (
            "net.py:N(1)#)",
            "cannot read 'net.py:N(1)#)': something follows it; end with the last bracket",
        ),
        ("net.py:N(1)2", "cannot read 'net.py:N(1)2': the arguments are not Python: invalid syntax"),
        ("net.py:N(1))", "cannot read 'net.py:N(1))': the arguments are not Python: unmatched ')'"),
        (
            "net.py:N(**kw)",
            "cannot read 'net.py:N(**kw)': **kw unpacks an unknown value; write the arguments one by one",
        ),
        (
            "net.py:N(*a)",
            "cannot read 'net.py:N(*a)': *a unpacks an unknown value; write the arguments one by one",
        ),
        (
            "net.py:N(2 * 3)",
            "cannot read 'net.py:N(2 * 3)': 2 * 3 is not a literal; arguments are Python literals (18, 'gelu', None, "
            "[1, 2]), names (torch.nn.GELU) and calls (Config(depth=2)); for anything else, name a function that "
            "builds the model",
        ),
        (
            "net.py:N(().__class__)",
            "cannot read 'net.py:N(().__class__)': __class__ is Python's own: only names of classes, functions and "
            "values are looked up",
        ),
        (
            "net.py:N((lambda: 1)())",
            "cannot read 'net.py:N((lambda: 1)())': lambda: 1 is no name, and no attribute, item or call of one",
        ),
        ("net.py:N(C(x=[{1}]))", "cannot read 'net.py:N(C(x=[{1}]))': a set has no order; write a list"),
        ("net.py:N(a=1, a=2)", "cannot read 'net.py:N(a=1, a=2)': a is given twice; write each argument once"),
        ("net.py:N({1})", "cannot read 'net.py:N({1})': a set has no order; write a list"),
        ("net.py:N(...)", "cannot read 'net.py:N(...)': ... is not an argument; write its value"),
        ("net.py:N(1e999)", "cannot read 'net.py:N(1e999)': a number is too large for a float"),
        ("net.py:N('\udc80')", r"cannot read 'net.py:N('\udc80')': the arguments are not Unicode"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "inside",
    [
        "-" * 4000 + "1",
        "(" * 2000 + ")" * 2000,
        "[" * 150 + "]" * 150 + " + x",
        "1+" * 2000 + "1",
        "0x" + "f" * 4000,
        "9" * 4050,
    ],
)
def test_pathological_arguments_are_refused_and_cut_in_the_message(inside: str) -> None:
    with pytest.raises(UsageError, match=r"^cannot read 'net\.py:N\(") as caught:
        parse(f"net.py:N({inside})")
    assert len(str(caught.value)) < 400


def test_a_long_name_is_cut_in_the_message() -> None:
    with pytest.raises(UsageError) as caught:
        parse("x" * 50_000)
    assert str(caught.value) == f"invalid model '{'x' * 77}...': the name has 50000 characters, more than 4096"


def test_nothing_in_a_name_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("net.py:N(print('ran'))", "net.py:N(x=[print('ran')])"):
        parse(text)
    for text in ("net.py:N(f'{print(1)}')", "net.py:N(__builtins__['print'](1))", "net.py:N(print.__self__)"):
        with pytest.raises(UsageError):
            parse(text)
    assert capsys.readouterr() == ("", "")


# -------------------------------------------------------------------- the default name of a file


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("resnet18", "resnet18"),
        ("timm:resnet50", "timm_resnet50"),
        ("transformers:path/to/config.json", "transformers_path_to_config.json"),
        ("out/resnet18.json", "resnet18"),
        ("a/program.pt2", "program"),
        ("a/net.py:Net(depth=18)", "Net"),
        ("a/net.py", "net"),
        ("package.module:factory", "factory"),
        ("a b", "a_b"),
    ],
)
def test_the_stem_of_the_output(text: str, expected: str) -> None:
    assert parse(text).stem == expected


# -------------------------------------------------------------------- anything at all


def is_literal(number: complex) -> bool:
    """Return whether Python reads the same number from its repr, which loses the sign of some zeros: ``-0j``."""
    return repr(ast.literal_eval(repr(number))) == repr(number)


literals = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.complex_numbers(allow_nan=False, allow_infinity=False).filter(is_literal)
    | st.text(max_size=8)
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=4) | st.integers(-9, 9) | st.none(), inner, max_size=3)
    ),
    max_leaves=8,
)
identifiers = st.from_regex(r"(?!__)[A-Za-z_][A-Za-z_0-9]{0,8}", fullmatch=True).filter(
    lambda name: not iskeyword(name) and name.lower() != "py"  # "a.py" is a file, never a module or a class called "py"
)
dotted = st.lists(identifiers, min_size=1, max_size=3).map(".".join)
values = literals | st.builds(
    lambda name, args: Expression(name, (Call(tuple(args), {"x": [Expression(name)]}), Item("a"), Attribute("b"))),
    dotted.filter(lambda name: "__" not in name),
    st.lists(literals, max_size=2),
)
places = st.tuples(st.sampled_from(["file", "module"]), dotted).map(
    lambda pair: (pair[0], f"dir/{pair[1]}.py" if pair[0] == "file" else pair[1])
)


@given(places, dotted, st.lists(values, max_size=3).map(tuple), st.dictionaries(identifiers, values, max_size=3))
@example(("file", "net.py"), "Net", ('it\'s "quoted"', b"\x00", -0.0), {"x": ({"a": [(), -1]},)})
def test_what_is_written_is_read_again(
    place: tuple[Any, str], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    kind, where = place
    if kind == "module" and where in ("timm", "transformers"):
        return
    reference = Reference(kind, where, name, (Call(args, kwargs),) if args or kwargs else ())
    again = parse(str(reference))
    assert repr(again) == repr(reference)
    assert again == reference


PIECES = """
    net.py : Net ( ) ' " \\ , = * [ ] { } 1 - . x ... timm transformers .json .pt2 .pth / lambda: f' # 1e999
""".split()
texts = st.text() | st.lists(st.sampled_from([*PIECES, " ", "\n", "\x00", "\u2028", "\udc80"]), max_size=14).map(
    "".join
)


@given(texts)
@example("timm:")
@example("net.py:Net(1)#)")
@example("x" * 50_000)
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        reference = parse(text)
        name = parse(text).stem
    except (UsageError, UnknownModel) as error:
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 800
    else:
        assert repr(parse(str(reference))) == repr(reference)
        assert name.splitlines() in ([name], [])
        assert (reference.kind == "graph") == reference.is_graph
