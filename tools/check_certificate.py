#!/usr/bin/env python3
"""Checks a certificate of `repot verify --certificate FILE` against the files. Python 3, standard library only.

    check_certificate.py CERTIFICATE FOLDER [--exported] [--except PATH]...

FOLDER holds the files as they were copied: the source, or a download of the bucket. With --exported it is the
result of `repot export`, which leaves out what was never copied. --except PATH names a file of FOLDER that is no
data (a database, say). Every file is read and hashed here; nothing of Repot is needed. Prints what differs and
ends with 1, or says that all is the same and ends with 0.
"""

import argparse, hashlib, json, os, stat, sys

STATUSES = {"moved": "moved", "set-aside": "set_aside", "unmatched": "unmatched", "stays": "stays"}


def name_of(text):
    """The bytes of a name. A byte that is no UTF-8 stands as one character of U+F780..U+F7FF."""
    return b"".join(bytes([ord(c) - 0xF700]) if "\uf780" <= c <= "\uf7ff" else c.encode() for c in text)


def read_list(path, problems):
    """The list of objects: (sha256 or None, status, collection, path)."""
    objects = []
    with open(path, encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, 1):
            parts = line.rstrip("\n").split("\t")
            if len(parts) != 4 or parts[1] not in STATUSES:
                problems.append(f"{path}:{number}: cannot be read")
                continue
            objects.append((None if parts[0] == "-" else parts[0], parts[1], parts[2], json.loads(parts[3])))
    order = [one[3].encode() for one in objects]
    problems.extend(f"the list is out of order at {b!r}" for a, b in zip(order, order[1:]) if a >= b)
    return objects


def hash_file(path):
    """SHA-256 of a regular file; None when it is none."""
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return None
        with open(path, "rb") as file:
            hasher = hashlib.sha256()
            while chunk := file.read(1 << 20):
                hasher.update(chunk)
            return hasher.hexdigest()
    except OSError:
        return None


def names_in(folder):
    """Everything in the folder that is no folder itself, as bytes relative to it."""
    root = os.fsencode(folder)
    for here, folders, files in os.walk(root):
        links = [name for name in folders if os.path.islink(os.path.join(here, name))]
        for name in files + links:
            yield os.path.relpath(os.path.join(here, name), root)


def check(arguments, certificate, objects, problems):
    """Hashes every file, and compares roots and counts."""
    whole, roots, counts = hashlib.sha256(), {}, dict.fromkeys(STATUSES.values(), 0)
    listed = {name_of(text): (sha256, status, collection, text) for sha256, status, collection, text in objects}
    for name, (sha256, status, collection, text) in listed.items():
        counts[STATUSES[status]] += 1
        place = os.path.join(os.fsencode(arguments.folder), name)
        if status in ("unmatched", "stays"):
            if not (arguments.exported or os.path.lexists(place)):
                problems.append(f"{text!r}: is not in the folder")
            continue
        found = hash_file(place)
        if found != sha256:
            problems.append(f"{text!r}: " + ("is not in the folder" if found is None else "has other bytes"))
        line = f"{found}  {text}\n".encode()
        whole.update(line)
        if status == "moved":
            root, number = roots.get(collection, (hashlib.sha256(), 0))
            root.update(line)
            roots[collection] = (root, number + 1)
    own = [arguments.certificate, os.path.join(os.path.dirname(arguments.certificate), certificate["objects_file"])]
    own = {os.path.realpath(path) for path in own + [os.path.join(arguments.folder, name) for name in arguments.exceptions]}
    for name in names_in(arguments.folder):
        if name not in listed and os.path.realpath(os.path.join(arguments.folder, os.fsdecode(name))) not in own:
            problems.append(f"{os.fsdecode(name)!r}: is in the folder and not in the certificate")
    expect = lambda what, said, found: said == found or problems.append(f"{what}: the certificate says {said}, found {found}")
    expect("root", certificate["root"], whole.hexdigest())
    for name in sorted(set(roots) | set(certificate["collections"])):
        said = certificate["collections"].get(name, {"root": "", "objects": 0})
        root, number = roots.get(name, (None, 0))
        expect(f"root of {name}", said["root"], root.hexdigest() if root else "")
        expect(f"objects of {name}", said["objects"], number)
    for status, number in counts.items():
        expect(status, certificate[status], number)
    expect("listed", certificate["listed"], sum(counts.values()))
    expect("differences", certificate["differences"], 0)
    paths = {text for _, _, _, text in objects}
    aside = {one["path"] for one in certificate["set_aside_documents"]}
    problems.extend(f"{path!r}: set aside, but not in the list" for path in sorted(aside - paths))


def main():
    parser = argparse.ArgumentParser(description="Checks a certificate of Repot against the files.")
    parser.add_argument("certificate")
    parser.add_argument("folder")
    parser.add_argument("--exported", action="store_true", help="the folder is an export")
    parser.add_argument("--except", action="append", default=[], dest="exceptions", metavar="PATH")
    arguments = parser.parse_args()
    problems = []
    with open(arguments.certificate, encoding="utf-8") as file:
        certificate = json.load(file)
    objects = read_list(os.path.join(os.path.dirname(arguments.certificate), certificate["objects_file"]), problems)
    check(arguments, certificate, objects, problems)
    print("".join(f"{problem}\n" for problem in problems), end="")
    count = f"{len(objects)} objects"
    print(f"NOT the same: {len(problems)} differences, {count}" if problems else f"All the same: {count}, root {certificate['root']}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
