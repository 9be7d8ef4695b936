"""`onsager push` and `pull` beside `dvc push` and `pull` and `aws s3 sync`, on the same server of S3's protocol.

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install dvc-s3 awscli
    eval "$(benches/remote/ceph.sh start /tmp/ceph 7480 | tail -1)"
    python3 benches/peers/remote.py target/release/onsager --tools /tmp/peers/bin --bucket onsager --folder /dev/shm

The bytes are random, in one file and in a thousand, and no input of the stage: an input is hashed for the key. In each
round every tool has its turn; each begins with an empty prefix of the bucket, and its pull with an empty folder. Times
are those of the whole command, from its start to its end. At the end, ten thousand small results of onsager are pushed
and pulled, and the requests counted. A server on the same machine takes time from its clients: that of
`benches/remote/light.rs` takes next to none, and `--server PID` prints how much.
"""

import argparse
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import time

PIPELINE = """\
name: bytes
stages:
  data: {kind: command, run: 'cp -r %s ${outputs.data}', outputs: {data: %s}}
"""
SMALL = """\
name: small
stages:
  one: {kind: command, matrix: {n: [%s]}, run: 'echo ${matrix.n} > ${outputs.o}', outputs: {o: o}}
"""


def make(path, files, size):
    """Random bytes: one file, or a folder of them."""
    if files == 1:
        with open(path, "wb") as out:
            for _ in range(size >> 20):
                out.write(os.urandom(1 << 20))
        return
    path.mkdir()
    for number in range(files):
        (path / f"{number:04}").write_bytes(os.urandom(size // files))


def digest(path):
    """Of all bytes, in the order of the names."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def call(words, folder, timed=False):
    start = time.perf_counter()
    done = subprocess.run([str(word) for word in words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{words}: {done.stdout}{done.stderr}")
    return seconds if timed else done.stdout


class Bench:
    def __init__(self, options):
        self.onsager = pathlib.Path(options.onsager).resolve()
        self.tools, self.bucket = pathlib.Path(options.tools), options.bucket
        self.endpoint = os.environ["AWS_ENDPOINT_URL"]
        self.server = options.server
        self.root = pathlib.Path(options.folder) / "onsager-remote-bench"
        self.count = 0

    def folder(self, name):
        path = self.root / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    def timed(self, words, folder):
        """The seconds of a command, and those of the server's CPU meanwhile."""
        before = self.busy()
        seconds = call(words, folder, timed=True)
        return seconds, self.busy() - before

    def busy(self):
        if self.server is None:
            return 0.0
        fields = pathlib.Path(f"/proc/{self.server}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def prefix(self, tool):
        self.count += 1
        return f"s3://{self.bucket}/bench-{os.getpid()}-{self.count}-{tool}"

    def empty(self, url):
        call([self.tools / "aws", "s3", "rm", "--recursive", "--quiet", url], self.root)

    def project(self, name, pipeline, url):
        folder = self.folder(name)
        (folder / "pipeline.yaml").write_text(pipeline)
        (folder / "onsager.toml").write_text(f'[remote.s3]\nurl = "{url}"\nendpoint = "{self.endpoint}"\ndefault = true\n')
        return folder

    def with_onsager(self, made, expected):
        url = self.prefix("onsager")
        pipeline = PIPELINE % (made, "data/" if made.is_dir() else "data")
        one = self.project("one", pipeline, url)
        call([self.onsager, "run", "pipeline.yaml", "--no-remote"], one)
        push = self.timed([self.onsager, "push", "pipeline.yaml"], one)
        shutil.rmtree(one)
        other = self.project("other", pipeline, url)
        pull = self.timed([self.onsager, "pull", "pipeline.yaml"], other)
        assert digest(other / "artifacts/bytes/data/data") == expected
        shutil.rmtree(other)
        self.empty(url)
        return push, pull

    def with_dvc(self, made, expected):
        url, folder = self.prefix("dvc"), self.folder("dvc")
        dvc = lambda *words, how=call: how([self.tools / "dvc", *words], folder)
        dvc("init", "--no-scm", "-q")
        dvc("config", "core.analytics", "false")
        dvc("remote", "add", "-q", "-d", "s3", url)
        dvc("remote", "modify", "s3", "endpointurl", self.endpoint)
        (shutil.copytree if made.is_dir() else shutil.copy)(made, folder / "data")
        dvc("add", "-q", "data")
        push = dvc("push", "-q", how=self.timed)
        shutil.rmtree(folder / ".dvc/cache")
        (shutil.rmtree if made.is_dir() else os.remove)(folder / "data")
        pull = dvc("pull", "-q", how=self.timed)
        assert digest(folder / "data") == expected
        shutil.rmtree(folder)
        self.empty(url)
        return push, pull

    def with_aws(self, made, expected):
        url, folder = self.prefix("aws"), self.folder("aws")
        if made.is_dir():
            source = made
        else:
            source = folder / "source"
            source.mkdir()
            os.link(made, source / "data")
        sync = lambda *words: self.timed([self.tools / "aws", "s3", "sync", "--only-show-errors", *words], folder)
        push = sync(source, url)
        pull = sync(url, folder / "came")
        assert digest(folder / "came") == expected
        shutil.rmtree(folder)
        self.empty(url)
        return push, pull

    def compare(self, files, size, rounds):
        made = self.root / "made"
        self.folder("x")
        shutil.rmtree(made, ignore_errors=True)
        make(made, files, size)
        expected = digest(made)
        times = {"onsager": [], "dvc": [], "aws": []}
        for number in range(rounds):
            for tool in sorted(times, key=lambda tool: (list(times).index(tool) + number) % 3):
                pair = getattr(self, f"with_{tool}")(made, expected)
                times[tool].append([seconds for seconds, _ in pair])
                ways = [f"{way} {seconds:.2f} s" for way, (seconds, _) in zip(["push", "pull"], pair)]
                if self.server is not None:
                    ways = [f"{way}, server {busy:.2f} s of CPU" for way, (_, busy) in zip(ways, pair)]
                print(f"{files} files, round {number + 1}: {tool} {'; '.join(ways)}", flush=True)
        (shutil.rmtree if made.is_dir() else os.remove)(made)
        for at, way in enumerate(["push", "pull"]):
            median = {tool: statistics.median(pair[at] for pair in pairs) for tool, pairs in times.items()}
            rates = ", ".join(f"{tool} {size / (1 << 20) / seconds:.0f} MiB/s" for tool, seconds in median.items())
            own = median["onsager"]
            fastest = min(median["dvc"], median["aws"])
            print(f"{files} files, {way}: {rates}; {median['dvc'] / own:.2f} x dvc, {fastest / own:.2f} x the faster", flush=True)

    def small(self, count):
        url = self.prefix("small")
        pipeline = SMALL % ", ".join(str(number) for number in range(count))
        one = self.project("one", pipeline, url)
        call([self.onsager, "run", "pipeline.yaml", "--no-remote"], one)
        start = time.perf_counter()
        pushed = json.loads(call([self.onsager, "push", "pipeline.yaml", "--json"], one))
        seconds = time.perf_counter() - start
        print(f"{count} small results, push: {pushed['requests'] / count:.3f} requests each, {seconds:.1f} s", flush=True)
        other = self.project("other", pipeline, url)
        start = time.perf_counter()
        pulled = json.loads(call([self.onsager, "pull", "pipeline.yaml", "--json"], other))
        seconds = time.perf_counter() - start
        print(f"{count} small results, pull: {pulled['requests'] / count:.3f} requests each, {seconds:.1f} s", flush=True)
        self.empty(url)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("onsager")
    parser.add_argument("--tools", required=True, help="the folder with `dvc` and `aws`")
    parser.add_argument("--bucket", default="onsager")
    parser.add_argument("--server", type=int, metavar="PID", help="a server here, whose CPU time is printed too")
    parser.add_argument("--folder", default="/tmp", help="where the bytes are made")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", type=int, default=10_000)
    options = parser.parse_args()
    bench = Bench(options)
    bench.root.mkdir(parents=True, exist_ok=True)
    # What is pushed is signed, by a key of its own.
    os.environ["XDG_CONFIG_HOME"] = str(bench.folder("config"))
    call([bench.onsager, "key", "new"], bench.root)
    for files in (1000, 1):
        bench.compare(files, options.mib << 20, options.rounds)
    if options.small:
        bench.small(options.small)
    shutil.rmtree(bench.root)


if __name__ == "__main__":
    main()
