"""The cache of the command line: what is found again, what never is, and that it never gets in the way."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from conftest import ROOT, Result, posix_only
from fxviz._api import figures, graphs
from fxviz._cli import cache
from fxviz._cli.cache import entry, installation
from fxviz._graph import ArchGraph
from fxviz._graph.errors import BadOutput, TraceError
from fxviz._sources.reference import Reference

Call = Callable[..., Result]


@dataclass
class Cached:
    """A cache of its own, for an installation that is no editable one, and models that are quickly traced."""

    folder: Path
    installed: dict[str, str]
    traced: list[str] = field(default_factory=list)

    @property
    def entries(self) -> list[Path]:
        return sorted(self.folder.glob("*.gz"))


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: ArchGraph) -> Cached:
    here = Cached(tmp_path / "cache" / "traces", {"torch": "2.4.0"})

    def traced(model: Reference, *_: object) -> ArchGraph:
        here.traced.append(str(model))
        return replace(tiny, model=replace(tiny.model, name=str(model)))

    monkeypatch.setenv("FXVIZ_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cache, "_foreign", [])
    monkeypatch.setattr(installation, "STARTED", 2**63)
    monkeypatch.setattr(entry, "described", lambda library: {"library": library, **here.installed})
    monkeypatch.setattr(graphs, "traced", traced)
    monkeypatch.chdir(tmp_path)
    return here


def test_found_again_byte_for_byte(fxviz: Call, cached: Cached) -> None:
    runs = []
    for _ in range(2):
        drawn = fxviz("render", "resnet18", "--input", "3x8x8", "-o", "net.svg")
        saved = fxviz("trace", "resnet18", "--input", "3x8x8", "-o", "-")
        runs.append((drawn, saved, Path("net.svg").read_bytes()))
    assert runs[0] == runs[1]
    assert runs[0][0].err.startswith("input 3x8x8 is taken for one image") and runs[0][1].out
    assert cached.traced == ["resnet18"]


def test_a_module_made_in_memory_is_no_source(fxviz: Call, cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    """``torch.distributed`` makes one whose origin is "<_remote_module_non_scriptable>.py"."""
    module = ModuleType("made_in_memory")
    module.__spec__ = ModuleSpec("made_in_memory", None, origin="<made_in_memory>.py")
    module.__spec__.has_location = True
    monkeypatch.setitem(sys.modules, "made_in_memory", module)
    for _ in range(2):
        assert fxviz("render", "resnet18").status == 0
    assert cached.traced == ["resnet18"]


def test_every_command_finds_it(fxviz: Call, cached: Cached) -> None:
    for command in (("render",), ("summary",), ("explain",), ("compare", "resnet18")):
        assert fxviz(*command, "resnet18").status == 0
    assert cached.traced == ["resnet18"]


OTHERS = ["--input=3x64x64", "--input=x=1x4", "--batch=2", "--train", "--leaf=Linear", "--root=fc"]


@pytest.mark.slow
def test_another_option_is_another_entry(fxviz: Call, cached: Cached) -> None:
    for count, option in enumerate(OTHERS, 1):
        for _ in range(2):
            assert fxviz("trace", "resnet18", option, "-o", "-").status == 0
        assert len(cached.traced) == len(cached.entries) == count
    fxviz("trace", "resnet18", "-o", "-")
    fxviz("trace", "resnet34", "-o", "-")
    fxviz("trace", "timm:resnet18", "-o", "-")
    assert cached.traced[-3:] == ["resnet18", "resnet34", "timm:resnet18"]


def test_what_is_the_default_is_the_same_entry(fxviz: Call, cached: Cached) -> None:
    fxviz("trace", "resnet18", "-o", "-")
    fxviz("trace", "resnet18", "--device", "meta", "-o", "-")
    assert cached.traced == ["resnet18"]


def test_another_installation_is_a_miss(fxviz: Call, cached: Cached) -> None:
    fxviz("trace", "resnet18", "-o", "-")
    cached.installed["torch"] = "2.4.1"
    fxviz("trace", "resnet18", "-o", "-")
    assert len(cached.traced) == len(cached.entries) == 2


NEVER = [
    ("resnet18", "--no-cache"),
    ("resnet18", "--device=cpu"),
    ("resnet18", "--device=cpu", "--time"),
    ("resnet18", "--partial"),
    ("resnet18", "--weights=DEFAULT"),
    ("resnet18", "--weights=net.pt"),
    ("net.py:Net",),
    ("net.py",),
    ("package.module:Net",),
    ("torchvision.models:resnet18",),
    ("net.pt2",),
    ("transformers:net/config.json",),
    ("transformers:CONFIG.JSON",),
]


@pytest.mark.parametrize("arguments", NEVER, ids=" ".join)
def test_never_kept(fxviz: Call, cached: Cached, arguments: tuple[str, ...]) -> None:
    for _ in range(2):
        assert fxviz("trace", *arguments, "-o", "-").status == 0
    assert len(cached.traced) == 2
    assert not cached.folder.exists()


def test_no_cache_does_not_read_either(fxviz: Call, cached: Cached) -> None:
    for option in ((), ("--no-cache",), ()):
        fxviz("trace", "resnet18", *option, "-o", "-")
    assert cached.traced == ["resnet18", "resnet18"]


def test_nothing_is_trusted_after_foreign_code(fxviz: Call, cached: Cached) -> None:
    fxviz("trace", "vgg11", "-o", "-")
    fxviz("compare", "net.py:Net", "resnet18", "vgg11")
    assert cached.traced == ["vgg11", "net.py:Net", "resnet18", "vgg11"]
    assert len(cached.entries) == 1


def test_a_saved_graph_is_no_foreign_code(fxviz: Call, cached: Cached, tiny: ArchGraph) -> None:
    tiny.save("tiny.json")
    for _ in range(2):
        assert fxviz("compare", "tiny.json", "resnet18").status == 0
    assert cached.traced == ["resnet18"]


def test_a_failure_is_not_kept(fxviz: Call, cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(model: Reference, *_: object) -> ArchGraph:
        cached.traced.append(str(model))
        raise TraceError("sizes do not fit")

    monkeypatch.setattr(graphs, "traced", failing)
    results = [fxviz("render", "resnet18") for _ in range(2)]
    assert results == [Result(1, "", "fxviz: sizes do not fit\n")] * 2
    assert len(cached.traced) == 2 and not cached.folder.exists()


def test_python_functions_do_without(cached: Cached) -> None:
    for _ in range(2):
        figures.render("resnet18")
    assert len(cached.traced) == 2 and not cached.folder.exists()


def _cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def _flipped(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


def _of_another_model(whole: bytes) -> bytes:
    return gzip.compress(gzip.decompress(whole).replace(b"resnet18", b"resnet34"))


def _of_no_graph(whole: bytes) -> bytes:
    return gzip.compress(gzip.decompress(whole).partition(b"\n")[0] + b"\n{}")


def _without_head(whole: bytes) -> bytes:
    return gzip.compress(gzip.decompress(whole).partition(b"\n")[2])


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": _cut,
    "flipped": _flipped,
    "empty": lambda whole: b"",
    "garbage": lambda whole: b"\x00garbage" * 100,
    "no gzip": gzip.decompress,
    "another model": _of_another_model,
    "no graph": _of_no_graph,
    "no head": _without_head,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_a_miss(fxviz: Call, cached: Cached, damage: Callable[[bytes], bytes]) -> None:
    whole = fxviz("trace", "resnet18", "-o", "-")
    (path,) = cached.entries
    before = path.read_bytes()
    path.write_bytes(damage(before))
    assert path.read_bytes() != before
    assert fxviz("trace", "resnet18", "-o", "-") == whole
    assert cached.traced == ["resnet18", "resnet18"]
    assert path.read_bytes() == before, "the damaged entry is replaced"


def test_a_folder_that_cannot_be_made(fxviz: Call, cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("file").write_text("")
    monkeypatch.setenv("FXVIZ_CACHE", "file/below")
    assert [fxviz("trace", "resnet18", "-o", "-").err for _ in range(2)] == ["", ""]
    assert len(cached.traced) == 2


def test_a_folder_that_takes_nothing(fxviz: Call, cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fxviz("trace", "resnet18", "-o", "-")

    def refused(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    def unwritten(path: Path, content: bytes) -> None:
        raise BadOutput("cannot write: Read-only file system")

    monkeypatch.setattr(os, "utime", refused)
    monkeypatch.setattr(entry, "write_whole", unwritten)
    assert fxviz("trace", "resnet18", "-o", "-") == whole, "it is read all the same"
    assert fxviz("trace", "vgg11", "-o", "-").status == 0
    assert cached.traced == ["resnet18", "vgg11"] and len(cached.entries) == 1


def test_the_names_of_models(fxviz: Call, cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def all_names(library: str) -> list[str]:
        asked.append(library)
        return ["resnet18", f"of_{library}"]

    monkeypatch.setattr("fxviz._sources.all_names", all_names)
    listed = [fxviz("list", pattern).out for pattern in ("*", "of", "timm:", "timm:res*", "timm:of*")]
    assert listed[:2] == ["resnet18\nof_torchvision\n", "of_torchvision\n"]
    assert listed[2:] == ["timm:resnet18\ntimm:of_timm\n", "timm:resnet18\n", "timm:of_timm\n"]
    assert asked == ["torchvision", "timm"]
    assert fxviz("list", "--no-cache").out == listed[0]
    assert asked == ["torchvision", "timm", "torchvision"]
    assert fxviz("list", "nothing").err == "fxviz: no model matches 'nothing'; 'fxviz list' shows all names\n"


# What was loaded


@pytest.fixture
def part(cached: Cached, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a source file that is loaded while a model is traced."""
    from importlib.machinery import ModuleSpec

    path = Path("parts", "part.py").resolve()
    path.parent.mkdir()
    path.write_text("size = 1")
    module = ModuleType("part")
    module.__spec__ = ModuleSpec("part", None, origin=str(path))
    module.__spec__.has_location = True
    monkeypatch.setitem(sys.modules, "part", module)
    return path


@pytest.mark.slow
def test_a_changed_source_is_a_miss(fxviz: Call, cached: Cached, part: Path) -> None:
    def traced() -> int:
        fxviz("trace", "resnet18", "-o", "-")
        return len(cached.traced)

    assert [traced(), traced()] == [1, 1]
    part.write_text("size = 10")
    assert [traced(), traced()] == [2, 2]
    os.utime(part, (1, 1))
    assert [traced(), traced()] == [3, 3]
    (part.parent / "part").mkdir()
    assert [traced(), traced()] == [4, 4], "Python takes a folder of that name first"
    part.unlink()
    assert [traced(), traced()] == [5, 6], "nothing is kept of what is not there"


def _written(part: Path) -> None:
    part.write_text("size = 2")


def _replaced_by_an_old_file(part: Path) -> None:
    other = part.with_name("other.py")
    other.write_text("size = 2")
    os.utime(other, (1, 1))
    other.replace(part)


def _left_alone(part: Path) -> None:
    assert part.exists()


@pytest.mark.parametrize("change", [_written, _replaced_by_an_old_file, _left_alone])
def test_a_source_that_changes_meanwhile(
    fxviz: Call, cached: Cached, part: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    quick = graphs.traced

    def traced(model: Reference, *how: Any) -> ArchGraph:
        change(part)
        return quick(model, *how)

    os.utime(part, (1, 1))
    time.sleep(0.05)  # so that the clock that stamps files sees what comes as later
    monkeypatch.setattr(graphs, "traced", traced)
    monkeypatch.setattr(installation, "STARTED", time.time_ns())
    fxviz("trace", "resnet18", "-o", "-")
    assert cached.folder.exists() == (change is _left_alone)


# The bound, and the command


def _fill(place: Path, *ages: int) -> list[Path]:
    """Entries of 1000 bytes, last used so many days ago."""
    place.mkdir(parents=True, exist_ok=True)
    paths = [place / f"{age:064x}.json.gz" for age in ages]
    for path, age in zip(paths, ages, strict=True):
        path.write_bytes(bytes(1000))
        os.utime(path, ns=(0, (2_000_000 - 86_400 * age) * 10**9))
    return paths


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    old, new, older = _fill(tmp_path, 2, 1, 3)
    (tmp_path / "notes.txt").write_bytes(bytes(9000))
    entry.trim(tmp_path, 3000)
    assert all(path.exists() for path in (old, new, older))
    entry.trim(tmp_path, 2999)
    assert not older.exists() and old.exists() and new.exists()
    entry.trim(tmp_path, 500)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_entry_makes_room(fxviz: Call, cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = _fill(cached.folder, 2, 1)
    monkeypatch.setattr(entry, "BOUND", 10**9)
    fxviz("trace", "resnet18", "-o", "-")
    assert old.exists()
    sizes = {path: path.stat().st_size for path in cached.entries}
    monkeypatch.setattr(entry, "BOUND", sum(sizes.values()))
    fxviz("trace", "resnet34", "-o", "-")
    assert not old.exists() and not new.exists()
    assert cached.entries


def test_use_makes_young(fxviz: Call, cached: Cached) -> None:
    fxviz("trace", "resnet18", "-o", "-")
    (used,) = cached.entries
    os.utime(used, (1, 1))
    (unused,) = _fill(cached.folder, 1)
    fxviz("trace", "resnet18", "-o", "-")
    assert [file.path for file in entry.files(cached.folder)] == [unused, used]
    assert cached.traced == ["resnet18"]


def test_clear_and_info(fxviz: Call, cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(cached.folder, 1, 2)
    (cached.folder / ".fxviz.abc_12.part").write_bytes(bytes(500))
    (cached.folder / "CACHEDIR.TAG").write_text("")
    monkeypatch.setattr(installation, "record", lambda name: Path(name))
    info = f"folder: {cached.folder}\ncontent: 3 entries (2.50 kB), at most 256.0 MB\n"
    kept = "torchvision: cached\ntimm: cached\ntransformers: cached\n"
    assert fxviz("cache", "info") == Result(0, info + kept, "")
    assert fxviz("cache", "clear") == Result(0, "", f"removed 3 entries (2.50 kB) from {cached.folder}\n")
    assert not cached.folder.exists()
    assert fxviz("cache", "clear") == Result(0, "", f"removed 0 entries (0 bytes) from {cached.folder}\n")


@posix_only
def test_what_is_no_file_is_no_entry(fxviz: Call, cached: Cached) -> None:
    fxviz("trace", "resnet18", "-o", "-")
    [entry] = cached.entries
    for make in (os.mkfifo, os.mkdir):
        entry.unlink()
        make(entry)
        assert fxviz("trace", "resnet18", "-o", "-").status == 0
        assert "content: 0 entries" in fxviz("cache", "info").out
        assert fxviz("cache", "clear").status == 0
        assert cached.entries == [entry]
        entry.rmdir() if entry.is_dir() else entry.unlink()
        entry.touch()


def test_clear_leaves_what_is_not_ours(fxviz: Call, cached: Cached) -> None:
    _fill(cached.folder, 1)
    kept = {"model.json.gz", f"{0:063x}.json.gz", "net.svg"}
    for name in kept:
        (cached.folder / name).write_text("mine")
    assert fxviz("cache", "clear").err.startswith("removed 1 entry (1.00 kB)")
    assert {path.name for path in cached.folder.iterdir()} == kept


def test_the_folder_is_marked_as_a_cache(fxviz: Call, cached: Cached) -> None:
    fxviz("trace", "resnet18", "-o", "-")
    assert (cached.folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


def test_wrong_calls(fxviz: Call, cached: Cached) -> None:
    assert fxviz("cache", "empty") == Result(2, "", "fxviz: invalid action 'empty': choose info or clear\n")
    cached.folder.parent.mkdir()
    cached.folder.write_text("no folder")
    for action, said in (("info", "read"), ("clear", "empty")):
        result = fxviz("cache", action)
        assert result.status == 1
        assert result.err.startswith(f"fxviz: cannot {said} the cache '{cached.folder}': ")
        assert result.err.endswith("; set FXVIZ_CACHE to use another folder\n")


def test_the_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import platformdirs

    for unset in ("", None):
        monkeypatch.setenv("FXVIZ_CACHE", "") if unset == "" else monkeypatch.delenv("FXVIZ_CACHE")
        assert cache.directory() == platformdirs.user_cache_path("fxviz", appauthor=False) / "traces"
    monkeypatch.setenv("FXVIZ_CACHE", str(tmp_path))
    assert cache.directory() == tmp_path / "traces"


# What other users can write


def _given_away(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a file to another user; who may not do that becomes another user, who owns nothing here."""
    if os.geteuid() == 0:
        os.chown(path, 12345, 12345, follow_symlinks=False)
    else:
        other = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: other)


def _open_to_a_group(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.chmod(path.stat().st_mode | 0o020)


def _open_to_all(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.chmod(0o777)


def _linked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = path.rename(path.with_name("elsewhere"))
    path.symlink_to(elsewhere, target_is_directory=elsewhere.is_dir())


SHARED: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], str]] = {
    "another's": (_given_away, "belongs to another user"),
    "a group's": (_open_to_a_group, "can be written by other users"),
    "all users'": (_open_to_all, "can be written by other users"),
    "a link": (_linked, "is a link"),
}


@posix_only
@pytest.mark.parametrize(("share", "reason"), SHARED.values(), ids=SHARED)
def test_a_folder_that_others_can_write_is_not_used(
    fxviz: Call,
    cached: Cached,
    monkeypatch: pytest.MonkeyPatch,
    share: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    whole = fxviz("trace", "resnet18", "-o", "-")
    entries = [path.read_bytes() for path in cached.entries]
    share(cached.folder, monkeypatch)
    said = f"the cache '{cached.folder}' is not used: it {reason}"
    assert fxviz("trace", "resnet18", "-o", "-") == replace(whole, err=f"{said}\n")
    assert fxviz("trace", "resnet18", "-q", "-o", "-") == whole
    assert cached.traced == ["resnet18"] * 3
    assert f"{said}\n" in fxviz("cache", "info").out
    refused = fxviz("cache", "clear")
    assert (refused.status, refused.err) == (
        1,
        f"fxviz: {said}; remove it yourself, or set FXVIZ_CACHE to use another folder\n",
    )
    assert [path.read_bytes() for path in cached.entries] == entries


@posix_only
@pytest.mark.parametrize(("share", "reason"), SHARED.values(), ids=SHARED)
def test_an_entry_that_others_can_write_is_replaced(
    fxviz: Call,
    cached: Cached,
    monkeypatch: pytest.MonkeyPatch,
    share: Callable[[Path, pytest.MonkeyPatch], None],
    reason: str,
) -> None:
    whole = fxviz("trace", "resnet18", "-o", "-")
    [path] = cached.entries
    before = path.read_bytes()
    path.write_bytes(_of_another_model(before))
    if share is _given_away and os.geteuid() != 0:
        pytest.skip("only root may give a file away")
    share(path, monkeypatch)
    result = fxviz("trace", "resnet18", "-o", "-")
    assert result == replace(whole, err=f"an entry of the cache is not used: '{path}' {reason}\n")
    assert cached.traced == ["resnet18", "resnet18"]
    assert not path.is_symlink() and path.read_bytes() == before
    elsewhere = path.with_name("elsewhere")
    assert not elsewhere.exists() or elsewhere.read_bytes() != before, "the link was followed"


@contextmanager
def _as_user(number: int) -> Iterator[None]:
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)


@posix_only
def test_two_users_at_one_folder(fxviz: Call, cached: Cached, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One plants an entry and then a link where all can write; the other believes neither."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as two users")
    monkeypatch.setattr(installation, "loaded", list)  # the interpreter may lie where only root can read
    whole = fxviz("trace", "resnet18", "--no-cache", "-o", "-")  # so that everything is imported
    place, planted_in = cached.folder.parent, cached.folder.with_name("planted")
    for folder in tmp_path.parents[:3]:  # pytest makes them for one user alone
        folder.chmod(folder.stat().st_mode | 0o055)
    place.parent.chmod(0o755)
    place.mkdir()
    place.chmod(0o1777)
    with _as_user(12345):
        assert fxviz("trace", "resnet18", "-o", "-") == whole
        [path] = cached.entries
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"models.Tiny", b"models.Else")))
        assert fxviz("trace", "resnet18", "-o", "-").out == whole.out.replace("models.Tiny", "models.Else"), (
            "it believes its own"
        )
        path.chmod(0o666)
        cached.folder.chmod(0o777)
    said = f"the cache '{cached.folder}' is not used: it "
    with _as_user(23456):
        assert fxviz("trace", "resnet18", "-o", "-") == replace(whole, err=f"{said}belongs to another user\n")
    with _as_user(12345):
        cached.folder.rename(planted_in)
        cached.folder.symlink_to(planted_in)
    with _as_user(23456):
        assert fxviz("trace", "resnet18", "-o", "-") == replace(whole, err=f"{said}is a link\n")
    assert cached.traced == ["resnet18"] * 4


@posix_only
def test_a_shared_place_for_the_folder(fxviz: Call, cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    place = cached.folder.parent
    place.mkdir()
    place.chmod(0o777)
    said = f"the cache '{cached.folder}' is not used: it is in '{place}', which other users can write\n"
    for _ in range(2):
        assert fxviz("trace", "resnet18", "-o", "-").err == said
    assert not cached.folder.exists()
    place.chmod(0o1777)
    assert fxviz("trace", "resnet18", "-o", "-").err == "", "in a place like /tmp nobody removes what others made"
    assert cached.traced == ["resnet18"] * 3 and len(cached.entries) == 1


@posix_only
def test_the_folder_is_this_users_alone(fxviz: Call, cached: Cached, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FXVIZ_CACHE", "deep/in/cache")
    before = os.umask(0)
    try:
        assert fxviz("trace", "resnet18", "-o", "-").status == 0
    finally:
        os.umask(before)
    made = Path("deep"), Path("deep/in"), Path("deep/in/cache"), Path("deep/in/cache/traces")
    assert [path.stat().st_mode & 0o777 for path in made] == [0o700] * 4


# The installation


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a library on the search path."""
    site = tmp_path / "site"
    _install(site, "netlib")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setattr(installation, "_ALWAYS", ())
    return site


def _install(site: Path, name: str, version: str = "1.0", **modules: str) -> None:
    for file, text in ({"__init__": ""} | modules).items():
        path = site / name / f"{file}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1, 1))
    metadata = site / f"{name}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "RECORD").write_text("")
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_an_installed_copy(library: Path) -> None:
    assert installation.record("netlib") == library / "netlib-1.0.dist-info"
    assert installation.described("netlib") == installation.described("netlib")


@pytest.mark.parametrize("how", ["elsewhere", "linked", "shadowed", "twice", "missing"])
def test_no_installed_copy(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if how in ("elsewhere", "linked"):
        (library / "netlib").rename(source / "netlib")
    if how == "elsewhere":  # as pip install -e leaves it: the record here, the code there
        monkeypatch.syspath_prepend(source)
    if how == "linked":
        (library / "netlib").symlink_to(source / "netlib")
    if how == "shadowed":
        (source / "netlib").mkdir()
        (source / "netlib" / "__init__.py").write_text("")
        monkeypatch.syspath_prepend(source)
    if how == "twice":
        (library / "netlib-2.0.dist-info").mkdir()
    if how == "missing":
        shutil.rmtree(library / "netlib")
    with pytest.raises(installation.NotCached, match=r"netlib is not installed|netlib comes from .* not installed"):
        installation.described("netlib")


def _other_version(site: Path) -> None:
    (site / "netlib-1.0.dist-info").rename(site / "netlib-1.1.dist-info")


def _new_library(site: Path) -> None:
    (site / "kernels-1.0.dist-info").mkdir()


def _reinstalled(site: Path) -> None:
    os.utime(site / "netlib-1.0.dist-info" / "RECORD", (1, 1))


def _shadowing(site: Path) -> None:
    (site / "numpy.py").write_text("")


def _longer_path(site: Path) -> None:
    sys.path.append(str(site / "netlib"))


def _started_otherwise(site: Path) -> None:
    os.utime(site / "start.pth", (1, 1))


CHANGES: dict[str, Callable[[Path], None]] = {
    "other version": _other_version,
    "new library": _new_library,
    "reinstalled": _reinstalled,
    "shadowing": _shadowing,
    "longer path": _longer_path,
    "started otherwise": _started_otherwise,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_installation(library: Path, change: Callable[[Path], None]) -> None:
    (library / "start.pth").write_text("")
    before = installation.described("netlib")
    change(library)
    assert installation.described("netlib") != before


def test_a_folder_without_anything_to_import_is_no_change(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = installation.described("netlib")
    (library / "scratch").mkdir()
    (library / "scratch" / "spilled.txt").write_text("")
    scratched = installation.described("netlib")
    monkeypatch.syspath_prepend(library / "scratch")
    assert installation.described("netlib") == scratched != before
    (library / "scratch" / "numpy.py").write_text("")
    assert installation.described("netlib") != scratched


def test_a_figure_in_the_current_folder_is_no_change(library: Path) -> None:
    before = installation.described("netlib")
    (library / "net.svg").write_text("")
    (library / "__pycache__").mkdir()
    assert installation.described("netlib") == before


@pytest.mark.parametrize("name", ["TIMM_FUSED_ATTN", "TORCH_LOGS", "PYTORCH_JIT", "TRANSFORMERS_X", "USE_HUB_KERNELS"])
def test_the_environment(library: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = installation.described("netlib")
    monkeypatch.setenv("EDITOR_OF_MINE", "vi")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "set by torch")
    assert installation.described("netlib") == before
    monkeypatch.setenv(name, "0")
    other = installation.described("netlib")
    monkeypatch.setenv(name, "secret")
    assert before != other != installation.described("netlib")
    assert "secret" not in str(installation.described("netlib")), "a value is not written down"


# Whole processes


@dataclass
class Installed:
    """Install fxviz as from a wheel, with a torch and a torchvision that note when they are imported."""

    site: Path
    home: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        changed = {
            "PYTHONPATH": str(self.site),
            "FXVIZ_CACHE": str(self.home / "cache"),
            "IMPORTED": str(self.imported),
        }
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.home / "work",
            env={**os.environ, **changed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[str, str]:
        return self.start("-m", "fxviz", *arguments).communicate()

    @property
    def imported(self) -> Path:
        return self.home / "imported.txt"

    @property
    def imports(self) -> int:
        return len(self.imported.read_text()) if self.imported.exists() else 0


def _install_fxviz(site: Path) -> None:
    shutil.copytree(ROOT / "fxviz", site / "fxviz", ignore=shutil.ignore_patterns("*.pyc.*"))
    _install(site, "fxviz", __init__=(ROOT / "fxviz" / "__init__.py").read_text())


_NOTED = "import os\nwith open(os.environ['IMPORTED'], 'a') as file: file.write('x')\n"


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    site, home = tmp_path / "site", tmp_path / "home"
    (home / "work").mkdir(parents=True)
    _install_fxviz(site)
    _install(site, "torch")
    _install(site, "torchvision", models=f"{_NOTED}def list_models(): return ['netone', 'nettwo']")
    return Installed(site, home)


@pytest.mark.slow
def test_the_second_process_imports_nothing(installed: Installed) -> None:
    first, second = installed.run("list"), installed.run("list", "one")
    assert first == ("netone\nnettwo\n", "") and second == ("netone\n", "")
    assert installed.imports == 1
    models = installed.site / "torchvision" / "models.py"
    models.write_text(models.read_text().replace("'nettwo'", "'netnew'"))
    assert installed.run("list") == ("netnew\nnetone\n", "")
    assert installed.imports == 2


@pytest.mark.slow
def test_an_editable_copy_in_a_process(installed: Installed) -> None:
    (installed.site / "fxviz-1.0.dist-info").rename(installed.home / "fxviz-1.0.dist-info")
    for count in (1, 2):
        assert installed.run("list") == ("netone\nnettwo\n", "")
        assert installed.imports == count
    said, _ = installed.run("cache", "info")
    reason = f"fxviz comes from {installed.site.resolve()}, where it is not installed (editable mode, or PYTHONPATH)"
    assert f"torchvision: not cached, as {reason}\n" in said
    assert not (installed.home / "cache").exists()


@pytest.mark.slow
def test_a_process_that_had_torch_before(installed: Installed) -> None:
    call = ("-c", "import torch; from fxviz._cli import main; main(['list'])")
    for count in (1, 2):
        assert installed.start(*call).communicate() == ("netone\nnettwo\n", "")
        assert installed.imports == count


@pytest.mark.slow
def test_processes_at_once(installed: Installed) -> None:
    processes = [installed.start("-m", "fxviz", "list") for _ in range(3)]
    assert [process.communicate() for process in processes] == [("netone\nnettwo\n", "")] * 3
    assert sorted(path.suffix for path in (installed.home / "cache" / "traces").iterdir()) == [".TAG", ".gz"]
    before = installed.imports
    assert installed.run("list") == ("netone\nnettwo\n", "")
    assert installed.imports == before


_TELLING = "import sys; from fxviz._cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"


@pytest.mark.slow
def test_a_figure_without_torch(tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    _install_fxviz(site)
    environment = {**os.environ, "PYTHONPATH": str(site), "FXVIZ_CACHE": str(tmp_path / "cache")}
    runs = []
    for _ in range(2):
        call = [sys.executable, "-c", _TELLING, "render", "resnet18", "-o", "net.svg"]
        done = subprocess.run(call, cwd=work, env=environment, capture_output=True, text=True, check=True)
        runs.append((done.stderr, (work / "net.svg").read_bytes(), done.stdout))
    assert runs[0][:2] == runs[1][:2]
    assert [run[2] for run in runs] == ["True\n", "False\n"]
