"""The door through which every file is written: bad targets first, then whole files, then nothing of others lost."""

import ast
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from avsr_bench.files import (
    MARK,
    STDOUT,
    anything,
    check_target,
    make_folder,
    marked,
    nothing,
    sweep_temporaries,
    temporary_name,
    whole,
    write_whole,
)
from avsr_bench.records import Refused


def left_behind(folder):
    return [path.name for path in folder.rglob(".*")]


def a_pipe(path):
    os.mkfifo(path)


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def a_folder(path):
    path.mkdir()


def a_link_to_a_pipe(path):
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def a_link_to_itself(path):
    path.symlink_to(path.name)


@pytest.mark.parametrize("make", [a_pipe, a_socket, a_folder, a_link_to_a_pipe, a_link_to_itself])
@pytest.mark.parametrize("ours", [anything, nothing, marked])
def test_what_is_no_regular_file_is_refused_and_stays(tmp_path, make, ours):
    target = tmp_path / "out"
    make(target)

    def there():
        """Everything but when it was looked at, which looking changes."""
        found = ((path.name, path.lstat()) for path in sorted(tmp_path.iterdir()))
        return [(name, of.st_mode, of.st_ino, of.st_nlink, of.st_size, of.st_mtime_ns) for name, of in found]

    before = there()
    with pytest.raises(Refused, match=r"^cannot write .*/out: .*(regular|folder|link)"):
        write_whole(target, b"new", ours)
    assert there() == before


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("missing/out", "its folder does not exist"),
        ("file/out", "a part of that path is a file"),
        ("x" * 300, "the name is too long"),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line(tmp_path, name, says):
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match=rf"^cannot write .*: {says}; choose another --out$"):
        write_whole(tmp_path / name, b"new")


def test_a_name_as_long_as_file_systems_allow(tmp_path):
    for name in ("x" * 255, "ü" * 127):
        write_whole(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"


def test_a_full_disk_leaves_the_old_file(tmp_path):
    resource = pytest.importorskip("resource")
    target = tmp_path / "out"
    target.write_bytes(b"old")
    script = (
        "import resource, signal, sys; from pathlib import Path; from avsr_bench.files import write_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "from avsr_bench.records import Refused\n"
        "try: write_whole(Path(sys.argv[1]), bytes(10_000))\n"
        "except Refused as refused: print(refused)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(target)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"cannot write {target}: File too large"), resource
    assert target.read_bytes() == b"old" and not left_behind(tmp_path)


@given(st.binary(max_size=300), st.binary(max_size=300), st.sampled_from([nothing, marked, anything]))
def test_a_file_is_replaced_only_where_it_is_ours(tmp_path_factory, old, new, ours):
    target = tmp_path_factory.mktemp("door") / "out"
    target.write_bytes(old)
    if ours(target):
        write_whole(target, new, ours)
        assert target.read_bytes() == new
    else:
        with pytest.raises(Refused, match="exists, and avsr-bench did not make it: give another name, or --force"):
            write_whole(target, new, ours)
        assert target.read_bytes() == old
    assert not left_behind(target.parent)


@pytest.mark.parametrize("size", [0, 100, 1 << 16, (1 << 16) + 1, 1 << 20])
def test_the_mark_is_found_at_either_end(tmp_path, size):
    path = tmp_path / "out"
    for content in (MARK.encode() + bytes(size), bytes(size) + MARK.encode()):
        path.write_bytes(content)
        assert marked(path)
    path.write_bytes(bytes(size) + b"made by someone")
    assert not marked(path)


def test_a_file_that_appears_while_we_work_is_not_lost(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(Refused, match="exists, and avsr-bench did not make it"), whole(target, nothing) as unfinished:
        unfinished.write_bytes(b"ours")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs" and not left_behind(tmp_path)


def test_an_error_or_ctrl_c_while_we_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "out"
    target.write_bytes(b"old")
    for problem in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(problem), whole(target) as unfinished:
            unfinished.write_bytes(b"half")
            raise problem
        assert target.read_bytes() == b"old" and not left_behind(tmp_path)


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "far").mkdir()
    link = tmp_path / "out"
    link.symlink_to("far/file")
    for content in (b"first", b"second"):  # dangling, then not
        write_whole(link, content)
        assert link.is_symlink() and (tmp_path / "far" / "file").read_bytes() == content
    with pytest.raises(Refused, match="did not make it"):
        write_whole(link, b"third", nothing)
    assert not left_behind(tmp_path)


def test_other_names_of_a_file_keep_what_they_had(tmp_path):
    (tmp_path / "kept").write_bytes(b"old")
    (tmp_path / "out").hardlink_to(tmp_path / "kept")
    write_whole(tmp_path / "out", b"new")
    assert (tmp_path / "kept").read_bytes() == b"old" and (tmp_path / "out").read_bytes() == b"new"


def test_new_files_have_the_rights_that_the_user_gives_new_files(tmp_path):
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "out", b"new")
        with whole(tmp_path / "weights") as unfinished:
            safetensors.numpy.save_file({"weight": np.ones(3)}, unfinished)
    finally:
        os.umask(before)
    for name in ("out", "weights"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640


def test_a_dash_is_standard_output():
    script = "from avsr_bench.files import *; print('before'); write_whole(STDOUT, bytes(range(256)), nothing)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"before\n" + bytes(range(256))
    assert check_target(STDOUT, nothing) == STDOUT
    with pytest.raises(Refused, match="cannot go to standard output"):
        make_folder(STDOUT)
    assert not Path("-").exists()


def test_only_leftovers_of_ours_are_swept(tmp_path):
    kept = [".bashrc", ".notes.tmp", "a.tmp", ".last.ckpt.0123.tmp", f".x.{'g' * 32}.tmp"]
    ours = [temporary_name(tmp_path / name).name for name in ("last.ckpt", "metrics.csv", "x" * 250)]
    for name in [*kept, *ours]:
        (tmp_path / name).write_text("")
    sweep_temporaries(tmp_path, "metrics")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, ours[0], ours[2]])
    sweep_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


# Beside the door itself: appends to logs and tables, the tar that a shard writer fills piece by piece, locks, and the
# digest behind a checkpoint that is not in its place yet.
APPENDS = {
    "workflow/run.py": "a",
    "workflow/commands.py": "a",
    "training/report.py": "a",
    "locks.py": "a",
    "shards/write.py": "x",
    "training/checkpoint.py": "r",
}
WRITES = {"write_text", "write_bytes", "rename", "copyfile", "copy2", "move"}


def test_nobody_writes_past_the_door():
    """A file is opened to be written only under a temporary name that `whole` gave."""
    package = Path(__file__).parents[1] / "avsr_bench"
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if name == "files.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            on = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            assert node.func.attr not in WRITES, f"{name}:{node.lineno}"
            modes = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if node.func.attr == "open" and on not in ("av", "os") and modes and set(modes[0]) & set("wax+"):
                assert on == "unfinished" or modes[0][0] in APPENDS.get(name, "-"), f"{name}:{node.lineno}"
