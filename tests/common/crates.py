"""Validates crates by roc-validator without the network, and prints as JSON for each crate and profile how many required checks ran and
passed, by the validator's own statistics, and which failed: {crate: {profile: {"passed": n, "failures": [[check, message], …]}}}.

    python crates.py PROFILE,… CRATE…

The two contexts that a crate names are served from here. That of RO-Crate 1.1 is the published one (CC0), which the package
`rocrate` 0.11 carries; the terms of Workflow Run Crate are those of its vocabulary, https://w3id.org/ro/terms/workflow-run
(Apache-2.0), by their names: each is the vocabulary's address with the name behind `#`. Any other address is refused.
"""

import importlib.util
import io
import json
import pathlib
import sys
import urllib.request

import rdflib.plugins.shared.jsonld.context as jsonld
import requests
from requests.adapters import HTTPAdapter

TERMS = "https://w3id.org/ro/terms/workflow-run"
NAMES = (
    "ParameterConnection connection sourceParameter targetParameter md5 sha1 sha256 sha512 environment resourceUsage "
    "containerImage ContainerImage DockerImage SIFImage registry tag buildInstructions"
)
# The package itself asks for others, so it is not imported.
PACKAGE = pathlib.Path(importlib.util.find_spec("rocrate").submodule_search_locations[0])
CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": (PACKAGE / "data" / "ro-crate.jsonld").read_text(),
    TERMS + "/context": json.dumps({"@context": {name: f"{TERMS}#{name}" for name in NAMES.split()}}),
}


def served(address):
    text = CONTEXTS.get(address.split("#")[0])
    if text is None:
        raise requests.ConnectionError(f"{address} is not served")
    return text


def send(self, request, **_):
    response = requests.Response()
    response.status_code, response.url, response.request = 200, request.url, request
    response.headers["Content-Type"] = "application/ld+json"
    response.raw = io.BytesIO(served(request.url).encode())
    return response


HTTPAdapter.send = send
original = jsonld.source_to_json


def source_to_json(source, *rest, **named):
    if isinstance(source, str) and source.startswith("http"):
        return json.loads(served(source)), None
    return original(source, *rest, **named)


jsonld.source_to_json = source_to_json


def refused(address, *_, **__):
    raise OSError(f"{getattr(address, 'full_url', address)} is not served")


urllib.request.urlopen = refused

from rocrate_validator import services  # noqa: E402
from rocrate_validator.models import Severity, ValidationSettings  # noqa: E402


def validated(profile, crate):
    settings = ValidationSettings(
        rocrate_uri=crate,
        profile_identifier=profile,
        requirement_severity=Severity.REQUIRED,
        no_cache=True,
    )
    result = services.validate(settings)
    failures = {(issue.check.identifier + " " + issue.check.name, issue.message) for issue in result.get_issues()}
    return {"passed": len(result.statistics.passed_checks), "failures": sorted(failures)}


def main():
    profiles, *crates = sys.argv[1:]
    print(json.dumps({crate: {profile: validated(profile, crate) for profile in profiles.split(",")} for crate in crates}, indent=1))


main()
