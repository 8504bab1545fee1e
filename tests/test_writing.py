"""A file is written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from conftest import not_for_root, posix_only
from fxviz._graph.errors import BadOutput
from fxviz._graph.files import check_target, write_whole


@pytest.mark.parametrize("content", ["11.69M × 2\n", b"\x00\xff"])
def test_what_is_written_is_what_was_given(tmp_path: Path, content: str | bytes) -> None:
    path = write_whole(tmp_path / "a.svg", content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    path = tmp_path / "a.svg"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises((BadOutput, KeyboardInterrupt)):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.svg"]


@posix_only
def test_a_new_file_gets_the_usual_mode_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        new = write_whole(tmp_path / "new.svg", "a")
        assert stat.S_IMODE(new.stat().st_mode) == 0o640
        new.chmod(0o600)
        assert stat.S_IMODE(write_whole(new, "b").stat().st_mode) == 0o600
    finally:
        os.umask(mask)


@posix_only
def test_a_link_keeps_pointing_where_it_points(tmp_path: Path) -> None:
    (tmp_path / "real.svg").write_text("old")
    link = tmp_path / "link.svg"
    link.symlink_to("real.svg")
    write_whole(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "real.svg").read_text() == "new"


@posix_only
def test_a_device_is_written_straight_through() -> None:
    assert write_whole(Path("/dev/null"), "gone").is_char_device()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "it is a folder; choose a file in it"),
        ("no/a.svg", "the folder '.*no' does not exist"),
        ("f/a.svg", "does not exist"),
    ],
)
def test_where_no_file_can_be(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "f").write_text("a file, not a folder")
    with pytest.raises(BadOutput, match=message):
        write_whole(tmp_path / name, "new")


@pytest.mark.parametrize("target", ["", None, 3, b"a.svg"])
def test_no_name_for_a_file(target: Any) -> None:
    with pytest.raises(BadOutput, match=r"cannot write to .*: must be the name of a file that ends in \.svg or \.dot"):
        check_target(target, [".svg", ".dot"])


@posix_only
@pytest.mark.parametrize("name", ["x" * 300 + ".svg", "a\0b.svg", "circle/a.svg"])
def test_a_name_that_the_file_system_refuses(in_tmp: Path, name: str) -> None:
    Path("circle").symlink_to("circle")
    for write in (lambda: check_target(name, [".svg"]), lambda: write_whole(Path(name), "new")):
        with pytest.raises(BadOutput, match="cannot write"):
            write()


def test_a_name_as_long_as_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 125 + ".svg")
    assert write_whole(check_target(path, [".svg"]), "new").read_text() == "new"


@not_for_root
def test_a_read_only_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text("old")
    path.chmod(0o444)
    with pytest.raises(BadOutput, match="read-only"):
        write_whole(path, "new")
