"""Archives of results, changed by hand as others would: with a plain zip library, past our own writer."""

import json
import zipfile


def members(archive):
    """All members and their bytes."""
    with zipfile.ZipFile(archive) as file:
        return {info.filename: file.read(info) for info in file.infolist()}


def text(row, suffix=".json"):
    """The result at ARCHIVE.zip/NAME, or its hypotheses, as text."""
    return members(row.parent)[f"{row.name}{suffix}"].decode()


def put(row, content, suffix=".json"):
    """Another text in place of a result, or of its hypotheses; none to take it out."""
    found = members(row.parent)
    found.pop(f"{row.name}{suffix}", None)
    if content is not None:
        found[f"{row.name}{suffix}"] = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    write(row.parent, found)


def change(row, **values):
    """Other values in a result."""
    put(row, json.dumps({**json.loads(text(row)), **values}))


def write(archive, found):
    """A zip of these members."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in found.items():
            file.writestr(name, content)


def names(folder):
    """Every result below a folder: ARCHIVE/NAME."""
    from avsr_bench.scoring import read_archive

    return {f"{path.relative_to(folder)}/{name}" for path in folder.rglob("*.zip") for name in read_archive(path).names}
