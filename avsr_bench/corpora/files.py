"""A corpus on disk: its folders in a fixed order, its texts as UTF-8, and a reason for whatever may not be read."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..media import SOUND_SUFFIXES
from ..media import VIDEO_SUFFIXES as VIDEOS
from ..records import Reason, Refused, Unusable

SOUNDS = (".wav", ".flac")  # a sound file of the name of a video is its sound
# What plainly lies in a corpus beside its videos: nobody need hear that it is not one.
_PAPERS = re.compile(r"\.(txt|md|rst|pdf|html|[ct]sv|jsonl?|ndjson|ya?ml|xml|log|srt|vtt|ass|py|sh|md5|sha1|sha256)")
_PAPER_NAMES = frozenset(
    ("readme", "license", "licence", "copying", "changelog", "authors", "citation", "thumbs.db", "desktop.ini")
)
LONGEST_TEXT = 16_000_000  # bytes; the longest transcripts with a table of frames stay far below one megabyte


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder of a corpus and the files in it; a folder that may not be read has a problem and no files."""

    path: Path
    name: str  # relative to where the walk began, "" for that place itself
    files: tuple[str, ...]
    problem: Reason | None = None

    def inside(self, file: str) -> str:
        """The name of a file of this folder, relative to where the walk began."""
        return f"{self.name}/{file}" if self.name else file


def walk(top: Path, name: str = "") -> Iterator[Folder]:
    """Every folder from `top` down, which is called `name`; hidden files and folders are passed over.

    A folder is visited once, however many links lead to it, so a link to a parent does no harm. Links wait until every
    real folder was seen: a folder inside the corpus goes by its real name. A dangling link is listed like a file: to
    open it will say that it is missing.
    """
    seen: set[tuple[int, int]] = set()
    pending, links = deque([(str(top), name)]), deque[tuple[str, str]]()
    while pending or links:
        path, name = pending.popleft() if pending else links.popleft()
        files: list[str] = []
        try:
            here = Path(path).stat()
            if (here.st_dev, here.st_ino) in seen:
                continue
            seen.add((here.st_dev, here.st_ino))
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if entry.name.startswith("."):
                        continue
                    inner = f"{name}/{entry.name}" if name else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, inner))
                    elif entry.is_symlink() and _leads_to_folder(entry):
                        links.append((entry.path, inner))
                    else:  # a pipe too: it is no file, and its reason says so
                        files.append(entry.name)
        except OSError as error:
            if not name:
                raise Refused(f"{path} cannot be listed: {error.strerror}") from None
            detail = f"folder {name or path}: {error.strerror}"
            yield Folder(Path(path), name, (), Reason("unreadable", detail))
            continue
        yield Folder(Path(path), name, tuple(files))


def _leads_to_folder(link: os.DirEntry[str]) -> bool:
    try:
        return link.is_dir()
    except OSError:  # a link to itself, or into a place that may not be looked at
        return False


def split_suffix(name: str) -> tuple[str, str]:
    """A file's name without its suffix, and the suffix in lower case.

    >>> split_suffix("a/talk.v2.MP4")
    ('a/talk.v2', '.mp4')
    """
    dot = name.rfind(".")
    return (name[:dot], name[dot:].lower()) if dot > name.rfind("/") + 1 else (name, "")


def others(folder: Folder, taken: Collection[str]) -> Iterator[str]:
    """The files of a folder that are neither `taken` nor plainly belong to what is.

    Papers belong, and what has the name of a taken video, save videos and sound that could be thought to be taken too.
    """
    stems = {split_suffix(file)[0] for file in taken}
    for file in folder.files:
        stem, suffix = split_suffix(file)
        paper = _PAPERS.fullmatch(suffix) or {stem.lower(), file.lower()} & _PAPER_NAMES
        unheard = suffix in VIDEOS or (suffix in SOUND_SUFFIXES and suffix not in SOUNDS)
        if file not in taken and not paper and (unheard or stem not in stems):
            yield folder.inside(file)


def texts(folder: Folder) -> Iterator[str]:
    """The files of a folder in which words of a clip may stand."""
    for file in folder.files:
        stem, suffix = split_suffix(file)
        if suffix == ".txt" and stem.lower() not in _PAPER_NAMES:
            yield file


def by_suffix(names: Iterable[str]) -> str:
    """How many files there are of each suffix, the commonest five first.

    >>> by_suffix(["a.xyz", "b.XYZ", "c.wav", "d"])
    '2 .xyz, 1 .wav, 1 without a suffix'
    """
    suffixes = (split_suffix(name)[1] for name in names)
    counts = Counter(suffix if re.fullmatch(r"\.\w{1,12}", suffix) else "without a suffix" for suffix in suffixes)
    top = sorted(counts.items(), key=lambda found: (-found[1], found[0]))[:5]
    rest = counts.total() - sum(count for _, count in top)
    return ", ".join([*(f"{count:,} {suffix}" for suffix, count in top), *([f"{rest:,} others"] if rest else [])])


def passed_over(names: Collection[str]) -> list[str]:
    """What to say about files that a reader made nothing of."""
    if not names:
        return []
    files = "1 file" if len(names) == 1 else f"{len(names):,} files"
    return [f"{files} passed over: {by_suffix(names)}, such as {min(names)}"]


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Each name without its suffix, or with it where that alone tells two of them apart.

    >>> short_names(["a.mp4", "b.mp4", "b.mov"])
    {'a.mp4': 'a', 'b.mp4': 'b.mp4', 'b.mov': 'b.mov'}
    """
    short = {name: split_suffix(name)[0] for name in names}
    # `a.mp4.mkv` may fall back on `a.mp4` just when `a.mp4` had to keep its suffix: hence more than one round.
    while shared := {name for name, count in Counter(short.values()).items() if count > 1}:
        short = {full: full if name in shared else name for full, name in short.items()}
    return short


def read_text(path: Path) -> str:
    """The text of a file; whatever keeps it from being read makes its clip unusable."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for whoever writes into it
            raise Unusable("unreadable", f"{path.name} is not a file")
        with path.open("rb") as file:
            content = file.read(LONGEST_TEXT + 1)
    except FileNotFoundError:
        raise Unusable("no-text", f"{path.name} is not there") from None
    except OSError as error:
        raise Unusable("unreadable", f"{path.name}: {error.strerror}") from None
    if len(content) > LONGEST_TEXT:
        raise Unusable("bad-text", f"{path.name} is longer than any transcript ({LONGEST_TEXT:,} bytes)")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte {error.start} is 0x{content[error.start]:02x}"
        raise Unusable("bad-text", f"{path.name} is not UTF-8 ({byte}): save it as UTF-8") from None
    if "\0" in text:  # UTF-16 without its mark passes for UTF-8
        raise Unusable("bad-text", f"{path.name} holds zero bytes and is no text: save it as UTF-8")
    return text.removeprefix("\ufeff")


def one_line(text: str, where: str) -> str:
    """A transcript on one line, single spaces between its words; an empty one makes its clip unusable."""
    text = " ".join(text.split())
    if not text:
        raise Unusable("bad-text", f"{where} is empty")
    return text


def named_file(path: Path, root: Path, setting: str) -> Path:
    """The file that a setting names: from the working directory, else from the corpus' root."""
    try:
        for place in (path, root / path):
            if place.is_file():
                return place
            if place.exists():
                raise Refused(f"{setting} = {path}: it is not a file")
    except OSError as error:
        raise Refused(f"{setting} = {path}: {error.strerror}") from None
    raise Refused(f"{setting} = {path}: there is no such file, here or in {root}")


def read_list(path: Path, setting: str) -> list[str]:
    """The first word of every line of the list that a setting names."""
    try:
        return [line.split()[0] for line in read_text(path).splitlines() if line.strip()]
    except Unusable as error:
        raise Refused(f"{setting} = {path}: {error.reason.detail}") from None


def printable(name: str) -> str:
    """A name from the file system that can be printed and written as UTF-8 whatever bytes it was made of."""
    return name if name.isascii() else name.encode("utf-8", "backslashreplace").decode("utf-8")
