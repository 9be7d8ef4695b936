"""Reads results of onsager pipelines by their names.

    import onsager_read

    onsager_read.path("law.fit")                    # where it is
    onsager_read.read("law.fit")                    # a table as a data frame, JSON as Python values, other text as it is
    onsager_read.read("train.loss", pipeline="pipelines/path-action.yaml", engine="polars")

A result that is not what its pipeline says now is refused, with the command that makes it anew; `stale=True` takes it as it is. A
name that stands for every instance of a matrix gives one table of all of them, with the coordinates as columns.

This is one file without dependencies. The wheel of onsager has it and the program; else copy the folder `onsager_read` beside your
script, or `pip install` the one above it. The program is found by the environment variable ONSAGER, beside this Python, or on PATH.
Tables need pandas or polars (Parquet with pandas: pyarrow too).
"""

import json
import os
import pathlib
import shutil
import subprocess
import sysconfig

__all__ = ["Result", "NoResult", "find", "path", "paths", "read"]
__version__ = "0.1.0"

TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")


class NoResult(Exception):
    """There is no such result, or it is out of date; the text says what to do."""


class Result:
    """One result: its task, its output, the coordinates of the task in its matrix, and its path."""

    def __init__(self, document):
        self.task = document["task"]
        self.output = document["output"]
        self.labels = document["labels"]
        self.path = pathlib.Path(document["path"])
        self.current = document["current"]
        self.digest = document["digest"]

    def __repr__(self):
        return f"<{self.task}.{self.output} at {self.path}>"


def find(name, *, pipeline=None, stale=False, project=None):
    """The results that a name stands for: `stage.output`, `stage[axis=value].output`, `point/stage.output`.

    `pipeline` is the YAML file, where more than one of the project has such a result; `project` a folder in the project, by default
    the current one.
    """
    program = os.environ.get("ONSAGER") or program_of_wheel() or "onsager"
    arguments = [program, "get", "--json"]
    if pipeline is not None:
        arguments += ["--pipeline", os.fspath(pipeline)]
    if stale:
        arguments.append("--stale")
    try:
        ran = subprocess.run([*arguments, "--", name], cwd=project, capture_output=True, text=True)
    except FileNotFoundError:
        raise NoResult(f"there is no program `{program}`: put onsager on PATH, or set ONSAGER to its path") from None
    if ran.returncode != 0:
        raise NoResult(ran.stderr.strip().removeprefix("error: "))
    return [Result(document) for document in json.loads(ran.stdout)]


def program_of_wheel():
    """The program that was installed with this module, whose folder is not on PATH unless the environment is activated."""
    return shutil.which("onsager", path=sysconfig.get_path("scripts"))


def paths(name, **options):
    """The paths of the results that a name stands for."""
    return [result.path for result in find(name, **options)]


def path(name, **options):
    """The path of the one result that a name stands for."""
    return _one(name, find(name, **options)).path


def read(name, *, engine=None, **options):
    """What a name stands for, read by the ending of its file.

    CSV, TSV, Parquet and JSON Lines become a data frame of `engine`, "pandas" or "polars", by default the first that is installed;
    `.json` becomes Python values, a folder its path, UTF-8 text a string, anything else bytes.
    """
    results = find(name, **options)
    if all(_ending(result.path) in TABLES for result in results):
        return _tables(results, engine or _installed())
    result = _one(name, results)
    if result.path.is_dir():
        return result.path
    content = result.path.read_bytes()
    if _ending(result.path) == ".json":
        return json.loads(content)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _one(name, results):
    if len(results) != 1:
        names = ", ".join(f"`{result.task}.{result.output}`" for result in results)
        raise NoResult(f"`{name}` is {len(results)} results, where one is needed: {names}")
    return results[0]


def _ending(path):
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    return suffixes[-1].lower() if suffixes else ""


def _installed():
    for engine in ("pandas", "polars"):
        try:
            __import__(engine)
            return engine
        except ImportError:
            pass
    raise NoResult("a table needs pandas or polars: `pip install pandas`, or take its path with `onsager_read.path`")


def _tables(results, engine):
    readers = {"pandas": _pandas, "polars": _polars}
    if engine not in readers:
        raise ValueError(f"there is no engine {engine!r}: there are 'pandas' and 'polars'")
    return readers[engine](results)


def _pandas(results):
    import pandas

    def one(result):
        ending = _ending(result.path)
        if ending == ".parquet":
            table = pandas.read_parquet(result.path)
        elif ending in (".jsonl", ".ndjson"):
            table = pandas.read_json(result.path, lines=True)
        else:
            table = pandas.read_csv(result.path, sep="\t" if ending == ".tsv" else ",")
        missing = [label for label in result.labels if label not in table.columns]
        for at, label in enumerate(missing):
            table.insert(at, label, result.labels[label])
        return table

    tables = [one(result) for result in results]
    return tables[0] if len(tables) == 1 else pandas.concat(tables, ignore_index=True)


def _polars(results):
    import polars

    def one(result):
        ending = _ending(result.path)
        if ending == ".parquet":
            table = polars.read_parquet(result.path)
        elif ending in (".jsonl", ".ndjson"):
            table = polars.read_ndjson(result.path)
        else:
            table = polars.read_csv(result.path, separator="\t" if ending == ".tsv" else ",")
        missing = [label for label in result.labels if label not in table.columns]
        labels = [polars.lit(result.labels[label]).alias(label) for label in missing]
        return table.select(*labels, *table.columns)

    return polars.concat([one(result) for result in results], how="vertical_relaxed")
