import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from patience import PATIENCE

AS_NOBODY = """
import json, os, sys
from pathlib import Path
from avsr_bench import corpora
from avsr_bench.records import Refused
if os.getuid() == 0:  # root reads everything; all modules are loaded, so the interpreter need not be within reach
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    corpus = corpora.read(sys.argv[1], Path(sys.argv[2]))
    clips = {clip.key: clip.problem and clip.problem.code for clip in corpus.clips}
    print(json.dumps({"clips": clips, "notes": corpus.notes}))
except Refused as error:
    print(json.dumps({"refused": str(error)}))
"""


@pytest.fixture
def tree(tmp_path):
    """A function that writes files under a root: `tree({"a/b.mp4": "", "a/b.txt": "HELLO"})`."""

    def write(files, root=tmp_path / "root"):
        root.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return root

    return write


@pytest.fixture
def reachable():
    """A folder that every user may enter, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.fixture
def read_as_nobody():
    """`corpora.read` in a process of a user without rights."""

    def read(name, root):
        command = [sys.executable, "-c", AS_NOBODY, name, str(root)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert os.name == "posix"
    return read
