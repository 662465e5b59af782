"""Two hosts, one of which goes away in the middle: what the other does, and whether anything is lost.

    make bench ONLY=machines

The hosts are network namespaces (hosts.py), so this takes root. Each job runs over both of them and is cut off, resumed
where it has to be, and compared with what was never cut off.
"""

from __future__ import annotations

import functools
import hashlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .hosts import Host, two_hosts, why_not
from .kills import results_of
from .mutations.cases import good_files
from .results import record, table

WAIT = 1200  # seconds after which a command counts as hanging
COPIES = 12  # of each raw clip, under other names
AVSR = [sys.executable, "-m", "avsr_bench"]
RAY = [sys.executable, "-m", "ray.scripts.scripts", "start"]
RAY_PORT, TORCH_PORT, BUCKET_PORT = 6379, 29500, 5000
STEPS = 25


@dataclass(frozen=True)
class Outcome:
    """A line of the table."""

    what: str
    cut: str
    result: str
    seconds: float
    right: bool


Check = Callable[[Path, tuple[Host, Host]], Outcome]


def main(grid: Path) -> None:
    """Do all of it and record; GRID is not read."""
    if why := why_not():
        print(f"machines: left out, {why}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that hosts are taken down then as well
    with tempfile.TemporaryDirectory(prefix="hosts-") as folder:
        scratch = Path(folder)
        (scratch / "made").mkdir()
        world = good_files(scratch / "made")
        outcomes = []
        for number, check in enumerate(CHECKS):
            place = scratch / str(number)
            shutil.copytree(world, place, symlinks=True)
            with two_hosts() as hosts:
                outcomes.append(check(place, hosts))
            report(outcomes)  # each time: a later one may be stopped


def report(outcomes: list[Outcome]) -> None:
    """Write the section with what was done so far."""
    lines = [[each.what, each.cut, each.result, f"{each.seconds:.0f}"] for each in outcomes]
    wrong = sum(not each.right for each in outcomes)
    record(
        "Two hosts, one of which goes away",
        "make bench ONLY=machines",
        table(["what", "what was cut off", "result", "seconds"], lines)
        + f"\n\n{len(outcomes)} of {len(CHECKS)} were run, {wrong} ended otherwise than they should."
        " The hosts are two network namespaces with addresses and names of their own, on one machine, kernel and disk:"
        " nothing is said of file servers, and locks are those of one kernel."
        " Unplugged: the interface is set down, nobody is told."
        " Power: unplugged, then every process gets SIGKILL."
        " Seconds are from the cut to the end of the command, or from its start where nothing was cut off;"
        " other work ran on the machine, so they say little."
        " The bucket is moto's server, a check of the protocol."
        " Where the first host loses power, torchrun's rendezvous is lost with it: the training on the other ends after"
        " train.wait_minutes, and torchrun there waits until TCP gives the lost host up, a quarter of an hour.",
    )


def prep_over_ray(way: str, place: Path, hosts: tuple[Host, Host]) -> Outcome:
    """Prep over a Ray cluster of both, whose second goes away while it works."""
    one, two = hosts
    raw = _many_clips(place)
    words = [*AVSR, "prep", "folder", "--root", str(raw), "shards.max_samples=6", "--min-yield", "0"]
    subprocess.run([*words, "--out", "alone"], cwd=place, check=True, capture_output=True)
    # A cluster of Ray 2.60 admits those who have its token.
    (place / "token").write_text(secrets.token_hex(32))
    env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(place / "token")}
    node = ["--num-cpus", "1", "--object-store-memory", "100000000", "--disable-usage-stats", "--block"]
    head = f"{one.address}:{RAY_PORT}"
    with tempfile.TemporaryDirectory(prefix="ray") as temporary:  # its sockets want a short path
        first = ["--head", "--node-ip-address", one.address, "--port", str(RAY_PORT), "--temp-dir", temporary]
        one.start([*RAY, *first, "--include-dashboard=false", *node], place, place / "one.log", env)
        _until(lambda: "Ray runtime started" in _said(place / "one.log"))
        two.start([*RAY, "--address", head, "--node-ip-address", two.address, *node], place, place / "two.log", env)
        _until(lambda: "Ray runtime started" in _said(place / "two.log"))
        ray = [*words, "--out", "ray", "--engine", "ray", "--address", head]
        command = one.start(ray, place, place / "prep.log", env)
        _until(lambda: "ray::attempt" in _names(two), command)
        begun = _cut(two, way)
        code = _wait(command)
        seconds = time.monotonic() - begun
        for host in hosts:
            host.kill()
    again = ""
    if code:
        subprocess.run([*words, "--out", "ray"], cwd=place, check=True, capture_output=True)
        again = f"ended with {code}: {_last(place / 'prep.log')}; resumed without Ray, "
    same = _shards(place / "alone") == _shards(place / "ray")
    result = f"{again}{'the same bytes as one host' if same else 'OTHER BYTES'}, {len(list(raw.rglob('*.mp4')))} clips"
    return Outcome("`prep --engine ray`, two nodes", f"the second node: {way}", result, seconds, same)


def training(goes: int, way: str, place: Path, hosts: tuple[Host, Host]) -> Outcome:
    """Training over both by torchrun, one of which goes away; resumed on both."""
    for command in _train(place, hosts, "whole"):
        if _wait(command) != 0:
            raise RuntimeError(f"two hosts do not train: {_said(place / 'whole0.log')[-3000:]}")
    commands = _train(place, hosts, "cut")
    stays = 1 - goes
    _until(lambda: (place / "cut/last.ckpt").is_file(), commands[stays])
    begun = _cut(hosts[goes], way)
    code = _wait(commands[stays])
    seconds = time.monotonic() - begun
    said = [line for line in _said(place / f"cut{stays}.log").splitlines() if line.startswith("avsr-bench: ")]
    for host in hosts:
        host.kill()
        host.plug_in()
    ended = [_wait(command) for command in _train(place, hosts, "cut")]
    weights = [place / run / "model.safetensors" for run in ("whole", "cut")]
    same = ended == [0, 0] and weights[0].read_bytes() == weights[1].read_bytes()
    line = "one line" if len(said) == 1 and "--resume" in said[0] else f"{len(said)} lines"
    end = f"the other ended with {code}, {line}" if code is not None else "THE OTHER HUNG"
    resumed = "resumed on both: the same weights" if same else f"resumed: {ended}, OTHER WEIGHTS"
    what = "`torchrun --nnodes 2`, `train.wait_minutes=1`"
    right = same and bool(code) and line == "one line"
    return Outcome(what, f"the {('first', 'second')[goes]} host: {way}", f"{end}; {resumed}", seconds, right)


def parts_of_a_sweep(place: Path, hosts: tuple[Host, Host]) -> Outcome:
    """One half of the conditions on each host, in one folder."""
    words = [*AVSR, "robustness", "--models", "runs/small/mine", "--data", "data/small", "--decode", "ctc"]
    subprocess.run([*words, "--out", "alone"], cwd=place, check=True, capture_output=True)
    begun = time.monotonic()
    parts = [[*words, "--out", "shared", "--part", f"{number + 1}/2"] for number in range(2)]
    commands = [host.start(part, place, place / f"{host.name}.log") for host, part in zip(hosts, parts, strict=True)]
    codes = [_wait(command) for command in commands]
    seconds = time.monotonic() - begun
    found = [{str(Path(name)): each for name, each in results_of(place / out).items()} for out in ("alone", "shared")]
    same = codes == [0, 0] and [*found[0].values()] == [*found[1].values()] and len(found[0]) > 1
    result = f"{len(found[1])} results, {'those of one host' if same else 'NOT THOSE OF ONE HOST'}"
    return Outcome("`robustness --part 1/2` and `2/2`, one folder", "nothing", result, seconds, same)


def bucket(place: Path, hosts: tuple[Host, Host]) -> Outcome:
    """Shards in a bucket on one host, trained on and measured from the other."""
    one, two = hosts
    server = [sys.executable, "-m", "moto.server", "-H", one.address, "-p", str(BUCKET_PORT)]
    one.start(server, place, place / "server.log")
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    env = {**keys, "AWS_ENDPOINT_URL": f"http://{one.address}:{BUCKET_PORT}"}
    _until(lambda: "Running on" in _said(place / "server.log"))
    if _wait(two.start([sys.executable, "-c", FILL, "data/small"], place, place / "fill.log", env)) != 0:
        raise RuntimeError(_said(place / "fill.log"))
    near = [*AVSR, "train", "mine", "--size", "mine", "--modality", "video", "train.steps=12"]
    subprocess.run([*near, "--data", "data/small", "--out", "near"], cwd=place, check=True, capture_output=True)
    sweep = [*AVSR, "robustness", "--decode", "ctc", "--noise", "none"]
    local = [*sweep, "--models", "near", "--data", "data/small", "--out", "measured-near"]
    subprocess.run(local, cwd=place, check=True, capture_output=True)
    begun = time.monotonic()
    far = two.start([*near, "--data", "s3://corpora/small", "--out", "far"], place, place / "far.log", env)
    measured = [*sweep, "--models", "near", "--data", "s3://corpora/small", "--out", "measured-far"]
    codes = [_wait(far), _wait(two.start(measured, place, place / "measured.log", env))]
    seconds = time.monotonic() - begun
    weights = [place / run / "model.safetensors" for run in ("near", "far")]
    same = codes == [0, 0] and weights[0].read_bytes() == weights[1].read_bytes()
    found = [[*results_of(place / f"measured-{side}").values()] for side in ("near", "far")]
    same = same and found[0] == found[1] and len(found[0]) > 0
    refused = []
    for number, words in enumerate(UNSUPPORTED):
        log = place / f"refused{number}.log"
        code = _wait(two.start([*AVSR, *words], place, log, env))
        refused.append(code in (1, 2) and "Traceback" not in _said(log) and not (place / "s3:").exists())
        print(f"machines: {' '.join(words)}: {_last(log)}", file=sys.stderr)
        shutil.rmtree(place / "s3:", ignore_errors=True)
    result = (
        f"{'weights and results of the folder' if same else 'NOT WHAT THE FOLDER GIVES'};"
        f" {sum(refused)} of {len(refused)} commands that write to a bucket, or read runs there, refused in one line"
    )
    return Outcome("shards in a bucket: `train`, `robustness`", "nothing", result, seconds, same and all(refused))


FILL = """
import sys, pathlib, botocore.session
client = botocore.session.Session().create_client("s3")
client.create_bucket(Bucket="corpora")
for path in pathlib.Path(sys.argv[1]).rglob("*"):
    if path.is_file():
        key = f"small/{path.relative_to(sys.argv[1])}"
        client.put_object(Bucket="corpora", Key=key, Body=path.read_bytes())
"""

UNSUPPORTED = (
    ("prep", "folder", "--root", "listed", "--out", "s3://corpora/made"),
    ("train", "mine", "--size", "mine", "--data", "data/small", "--out", "s3://corpora/run", "train.steps=2"),
    ("robustness", "--models", "near", "--data", "data/small", "--out", "s3://corpora/results", "--noise", "none"),
    ("evaluate", "s3://corpora/run", "--data", "data/small"),
)

UNPLUGGED, POWER, KILLED = "unplugged", "power", "its processes killed"
CHECKS: tuple[Check, ...] = (
    functools.partial(prep_over_ray, UNPLUGGED),
    functools.partial(prep_over_ray, KILLED),
    parts_of_a_sweep,
    bucket,
    functools.partial(training, 1, POWER),
    functools.partial(training, 1, KILLED),
    functools.partial(training, 0, POWER),
)


def _train(place: Path, hosts: tuple[Host, Host], out: str) -> list[subprocess.Popen]:
    """The command on both hosts."""
    meet = ["--nnodes", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", f"{hosts[0].address}:{TORCH_PORT}"]
    launch = [sys.executable, "-m", "torch.distributed.run", *meet, "-m", "avsr_bench"]
    words = ["train", "mine", "--size", "mine", "--modality", "video", "--data", "data/small", "--out", out, "--resume"]
    short = [f"train.steps={STEPS}", "train.save_minutes=0.001", "train.wait_minutes=1"]
    on_two = ["train.nodes=2", "train.device=cpu", "train.workers=1"]
    env = {"OMP_NUM_THREADS": "1"}
    each = enumerate(hosts)
    return [host.start([*launch, *words, *short, *on_two], place, place / f"{out}{n}.log", env) for n, host in each]


def _many_clips(place: Path) -> Path:
    """The clips of the small corpus, each under several names."""
    raw = place / "raw"
    raw.mkdir()
    for video in sorted((place / "listed").rglob("*.mp4")):
        for copy in range(COPIES):
            os.link(video, raw / f"{video.stem}-{copy}.mp4")
    return raw


def _cut(host: Host, way: str) -> float:
    {UNPLUGGED: host.unplug, POWER: host.lose_power, KILLED: host.kill}[way]()
    return time.monotonic()


def _wait(command: subprocess.Popen) -> int | None:
    try:
        return command.wait(WAIT)
    except subprocess.TimeoutExpired:
        return None


def _until(true: Callable[[], bool], command: subprocess.Popen | None = None) -> None:
    """Wait for what must come while a command runs."""
    end = time.monotonic() + WAIT
    while not true():
        if time.monotonic() > end or (command is not None and command.poll() is not None):
            raise RuntimeError("what was waited for did not come")
        time.sleep(0.02)


def _names(host: Host) -> str:
    """What the processes on a host call themselves."""
    pids = subprocess.run(["ip", "netns", "pids", host.name], capture_output=True, text=True, check=True).stdout
    lines = [Path("/proc", pid, "cmdline") for pid in pids.split()]
    return " ".join(line.read_bytes()[:40].decode(errors="replace") for line in lines if line.exists())


def _shards(out: Path) -> dict[str, str]:
    """A digest of every file that the shards of a folder consist of."""
    files = [path for path in sorted(out.rglob("*-[0-9]*.*")) if path.suffix in (".tar", ".npz", ".jsonl")]
    if not files:
        raise RuntimeError(f"no shards in {out}")
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _said(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""


def _last(log: Path) -> str:
    return (_said(log).strip().splitlines() or [""])[-1][:300]
