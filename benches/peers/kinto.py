#!/usr/bin/env python3
"""Kinto (PyPI) over PostgreSQL, for `repot-bench peer`.

    kinto.py FOLDER DATABASE_URL CORPUS

Installs Kinto into FOLDER/kinto-VERSION (a virtual environment that later runs use again), starts it on a free port of this
machine over the database, puts the conversations below CORPUS (`USER/ID.json`) into it as records of one collection, prints
where it listens, and becomes it: who started this ends it by this process's id.
"""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

VERSION = "26.5.0"
# as many as the pool of the servers beside it
THREADS = 15
BATCH = 25

SETTINGS = """
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.postgresql
kinto.storage_url = {url}
kinto.storage_pool_size = {threads}
kinto.storage_max_overflow = 0
kinto.permission_backend = kinto.core.permission.postgresql
kinto.permission_url = {url}
kinto.permission_pool_size = {threads}
kinto.cache_backend = kinto.core.cache.memory
kinto.userid_hmac_secret = bench
multiauth.policies = basicauth
kinto.bucket_create_principals = system.Everyone
kinto.paginate_by = 50

[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = {port}
threads = {threads}

[loggers]
keys = root
[handlers]
keys = console
[formatters]
keys = plain
[logger_root]
level = ERROR
handlers = console
[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain
[formatter_plain]
format = %(message)s
"""


def install(folder):
    """The program, installed once."""
    own = folder / f"kinto-{VERSION}"
    done = own / "installed"
    if not done.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", own], check=True, stdout=sys.stderr)
        pip = [own / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, f"kinto[postgresql]=={VERSION}"], check=True, stdout=sys.stderr)
        done.touch()
    return own / "bin" / "kinto"


def ask(address, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{address}/v1{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def wait(address):
    for _ in range(600):
        try:
            return ask(address, "GET", "/")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    sys.exit("Kinto did not start within a minute")


def fill(address, corpus):
    everyone = {"permissions": {"read": ["system.Everyone"], "write": ["system.Everyone"]}}
    ask(address, "PUT", "/buckets/bench", everyone)
    ask(address, "PUT", "/buckets/bench/collections/conversations", everyone)
    records = "/buckets/bench/collections/conversations/records"
    files = sorted(corpus.glob("*/*.json"))
    for at in range(0, len(files), BATCH):
        some = []
        for file in files[at : at + BATCH]:
            record = json.loads(file.read_text())
            record["id"], record["user"] = file.stem, file.parent.name
            some.append({"method": "PUT", "path": f"/v1{records}/{file.stem}", "body": {"data": record}})
        for done in ask(address, "POST", "/batch", {"requests": some})["responses"]:
            if done["status"] not in (200, 201):
                sys.exit(f"a record was refused: {done}")


def main():
    folder, url, corpus = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    program = install(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / f"kinto-{port}.ini"
    settings.write_text(SETTINGS.format(url=url.replace("%", "%%"), port=port, threads=THREADS))
    subprocess.run([program, "migrate", "--ini", settings], check=True, stdout=sys.stderr)
    address = f"127.0.0.1:{port}"
    if os.fork() == 0:
        wait(address)
        fill(address, corpus)
        print(address, flush=True)
        os._exit(0)
    os.execv(program, [program, "start", "--ini", settings])


main()
