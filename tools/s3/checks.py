"""What all checks share: verdicts, where a cloud is, its clients."""

import hashlib
import random
import reprlib
import socket
import subprocess
import time
import traceback
from dataclasses import dataclass

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


class Verdicts:
    """Counts checks and prints a line for each. Differences that are known by name are told, and are no failure."""

    def __init__(self, known=()):
        self.passed, self.failed, self.met, self.known = 0, 0, set(), set(known)

    def check(self, what, found, expected):
        """`found` may be a function: what it raises is what was found."""
        if callable(found):
            try:
                found = found()
            except Exception as error:
                found = f"{type(error).__name__}: {error}"
        holds = found == expected
        self.note(what, holds, None if holds else difference(found, expected))

    def note(self, what, holds, why):
        if what in self.known and not holds:
            self.met.add(what)
            self.passed += 1
            print(f"differs {what}: {why}", flush=True)
        elif holds:
            self.passed += 1
            print(f"ok      {what}", flush=True)
        else:
            self.failed += 1
            print(f"FAILED  {what}: {why}", flush=True)

    def run(self, area, *args, title=None, name=None):
        """An area that breaks off is a failure of its own."""
        print(f"-- {title or area.__doc__}", flush=True)
        try:
            area(*args)
        except Exception as error:
            where = "".join(traceback.format_tb(error.__traceback__)[-1:]).strip().replace("\n", " ")
            self.note(f"{name or area.__name__} is gone through to its end", False, f"{type(error).__name__}: {cut(error)} ({where})")

    def finish(self):
        for what in sorted(self.known - self.met):
            print(f"-- did not differ this time: {what}")
        print(f"{self.passed} passed, {self.failed} failed")
        return 1 if self.failed or not self.passed else 0


def difference(found, expected):
    if isinstance(found, list) and isinstance(expected, list):
        place = next((n for n, pair in enumerate(zip(found, expected)) if pair[0] != pair[1]), min(len(found), len(expected)))
        if place:
            return f"{len(found)} and not {len(expected)}, from the {place + 1}th on {cut(found[place:])} is not {cut(expected[place:])}"
    return f"{cut(found)} is not {cut(expected)}"


def cut(value):
    shown = reprlib.Repr()
    shown.maxother, shown.maxstring, shown.maxlist, shown.maxtuple = 60, 300, 8, 8
    return value[:300] if isinstance(value, str) else shown.repr(value)


class OneOf:
    """Equal to any of some values."""

    def __init__(self, *values):
        self.values = values

    def __eq__(self, other):
        return other in self.values

    def __repr__(self):
        return " or ".join(map(repr, self.values))


@dataclass(frozen=True)
class Place:
    """Where S3 answers, and to whom."""

    endpoint: str
    key: str
    secret: str
    region: str

    def client(self, service="s3", endpoint=None, **config):
        config = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 120, "max_pool_connections": 32} | config
        return boto3.client(
            service, endpoint_url=endpoint or self.endpoint, region_name=self.region,
            aws_access_key_id=self.key, aws_secret_access_key=self.secret, config=Config(**config))


def outcome(call, *args, **named):
    """The status of an answer, or the status and code of an error: "200", "404 NoSuchKey"."""
    try:
        return str(call(*args, **named)["ResponseMetadata"]["HTTPStatusCode"])
    except ClientError as error:
        status, code = str(error.response["ResponseMetadata"]["HTTPStatusCode"]), error.response["Error"]["Code"]
        # an answer to HEAD has no body, so its code is its status
        return status if code in (status, "") else f"{status} {code}"


def message(call, *args, **named):
    """What an error says."""
    try:
        call(*args, **named)
    except ClientError as error:
        return error.response["Error"].get("Message") or ""
    return None


def body(s3, bucket, key, **named):
    return s3.get_object(Bucket=bucket, Key=key, **named)["Body"].read()


def etag(data):
    return f'"{hashlib.md5(data).hexdigest()}"'


def noise(length, seed=1):
    """The same bytes for the same seed."""
    return random.Random(seed).randbytes(length)


def keys(s3, bucket, **named):
    """All keys by all pages."""
    return [o["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **named) for o in page.get("Contents", [])]


def free_ports(count):
    """The first of so many ports that are free on loopback, one after the other."""
    def free(port):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
            return True

    return next(base for base in range(20480, 32000, 20) if all(map(free, range(base, base + count))))


class Server:
    """A process that answers on loopback until the end."""

    def __init__(self, command, port, log, **named):
        with open(log, "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=output, **named)
        for _ in range(600):
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", port), 5).close()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        with open(log) as said:
            raise SystemExit(f"{command[0]} does not start: {said.read()[-2000:]}")

    def stop(self):
        """The exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self.process.wait()
