"""Runs the checks; see tools/test-s3."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import api
import clouds
import doors
import folder
import programs
from checks import Place, Server, Verdicts, free_ports

HERE = Path(__file__).resolve().parent
TOOLS = Path(sys.executable).parent


@contextmanager
def moto(work):
    port = free_ports(1)
    server = Server([TOOLS / "moto_server", "-H", "127.0.0.1", "-p", str(port)], port, work / "moto.log", stdout=subprocess.DEVNULL, cwd=work)
    try:
        yield Place(f"http://127.0.0.1:{port}", "AKIAMOTO", "moto", "us-east-1")
    finally:
        server.stop()


@contextmanager
def embedded(program, work, verdicts):
    """`monthend up` on a fresh home."""
    home, port, said = work / "home", free_ports(13), work / "up.json"
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "MONTHEND_"))} | clouds.VARIABLES | {"MONTHEND_HOME": str(home)}
    with open(said, "w") as output:
        server = Server([program, "up", "--port-base", str(port), "--format", "json"], port + 1, work / "up.log", stdout=output, cwd=work, env=environment)
    try:
        for _ in range(100):
            if said.read_text().strip():
                break
            time.sleep(0.1)
        endpoints = json.loads(said.read_text())
        yield credentials(program, environment, work, endpoints["s3"]), endpoints, home
        verdicts.check("the embedded cloud ran to the end", server.process.poll(), None)
    finally:
        code = server.stop()
    verdicts.check("the embedded cloud ends", code, 0)


def credentials(program, environment, work, endpoint):
    """What `monthend env` prints; before there was such a command, every home had the same pair."""
    known = subprocess.run([program, "help", "env"], env=environment, cwd=work, capture_output=True).returncode == 0
    if not known:
        return Place(endpoint, "monthend", "monthend", "us-east-1")
    names = ["AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"]
    script = 'eval "$("$0" env)" && printf "%s\\n" ' + " ".join(f'"${name}"' for name in names)
    done = subprocess.run(["bash", "-euc", script, program], env=environment, cwd=work, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"monthend env: {done.stderr}")
    place = Place(*done.stdout.splitlines())
    if place.endpoint != endpoint:
        sys.exit(f"monthend env says {place.endpoint}, monthend up {endpoint}")
    return place


def known_differences():
    """The checks that moto is known to fail, a line each."""
    lines = (HERE / "moto-differs.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def main(arguments):
    with tempfile.TemporaryDirectory(prefix="monthend-s3-") as work:
        work = Path(work)
        if arguments == ["--moto"]:
            verdicts = Verdicts(known_differences())
            with moto(work) as place:
                api.run(verdicts, place)
        elif len(arguments) == 2 and arguments[0] == "--endpoint":
            verdicts = Verdicts()
            api.run(verdicts, Place(arguments[1], os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_REGION", "us-east-1")))
        elif not arguments:
            verdicts = Verdicts()
            program = Path(os.environ["MONTHEND_PROGRAM"]).resolve()
            with embedded(program, work, verdicts) as (place, endpoints, home):
                # first, while the data bucket is empty
                with moto(work) as second:
                    verdicts.run(clouds.clouds, verdicts, program, work, place, endpoints["dynamodb"], home, second)
                api.run(verdicts, place)
                verdicts.run(doors.doors, verdicts, place)
                programs.run(verdicts, place, work, TOOLS)
                verdicts.run(folder.folder, verdicts, place, home)
        else:
            sys.exit("usage: tools/test-s3 [--moto | --endpoint URL]")
        return verdicts.finish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
