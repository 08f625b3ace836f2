"""The folder of the home: files that people copy into it, and objects that they open there."""

import os
import time

from api import Asked
from checks import body, etag, keys


def folder(verdicts, place, home):
    """files that are copied into the folder of the home"""
    asked = Asked(verdicts, place, "folder")
    check, s3, bucket = asked.check, asked.s3, asked.bucket
    root = home / "s3" / bucket
    listed = lambda: {o["Key"]: (o["Size"], o["ETag"]) for o in s3.list_objects_v2(Bucket=bucket).get("Contents", [])}
    listed_v1 = lambda: {o["Key"]: (o["Size"], o["ETag"]) for o in s3.list_objects(Bucket=bucket).get("Contents", [])}
    said = lambda key: (lambda h: (h["ContentLength"], h["ETag"]))(s3.head_object(Bucket=bucket, Key=key))
    described = lambda data: (len(data), etag(data))

    def stands(what, key, data):
        check(f"{what}: it is listed", lambda: listed().get(key), described(data))
        check(f"{what}: it is listed by version 1", lambda: listed_v1().get(key), described(data))
        check(f"{what}: HEAD", lambda: said(key), described(data))
        check(f"{what}: it is read", lambda: asked.read(key), data)
        check(f"{what}: it is read after that, too, and listed", lambda: (asked.read(key), listed().get(key)), (data, described(data)))

    key = "some/deep/key.json"
    file = root / key
    file.parent.mkdir(parents=True)
    file.write_bytes(b'{"by": "hand"}')
    stands("a file copied by hand", key, b'{"by": "hand"}')
    file.write_bytes(b'{"by": "another hand", "longer": true}')
    stands("overwritten", key, b'{"by": "another hand", "longer": true}')
    file.write_bytes(b'{"by": "ANOTHER hand", "longer": true}')
    stands("overwritten with as many bytes", key, b'{"by": "ANOTHER hand", "longer": true}')
    before = file.stat()
    replace(file, b'{"by": "another HAND", "longer": true}', before.st_mtime_ns)
    stands("replaced by as many bytes of the same time", key, b'{"by": "another HAND", "longer": true}')
    long_ago = 1_500_000_000 * 10**9
    replace(file, b'{"by": "an older file"}', long_ago)
    stands("replaced by a file of long ago", key, b'{"by": "an older file"}')
    file.unlink()
    check("removed: it is gone from the listing", lambda: key in listed(), False)
    check("removed: it is not read", lambda: asked.read(key), "404 NoSuchKey")
    check("removed: PUT If-None-Match of * finds nothing", lambda: asked.outcome(s3.put_object, Key=key, Body=b"anew", IfNoneMatch="*"), "200")
    check("put again: it is read", lambda: asked.read(key), b"anew")

    data = b"project,total\npayments,1.00\n"
    asked.put("rows/a b.csv", data, Metadata={"made": "by monthend"})
    asked.put("rows/same.csv", data)
    opened = root / "rows/a b.csv"
    check("an object is a file of its name", lambda: opened.read_bytes(), data)
    asked.put("rows/a b.csv", data + b"carts,2.00\n")
    check("an object that was overwritten, too", lambda: opened.read_bytes(), data + b"carts,2.00\n")
    asked.put("rows/a b.csv", data)
    with open(opened, "r+b") as edited:
        edited.write(b"PROJECT")
    stands("an object that a person edited in its file", "rows/a b.csv", b"PROJECT" + data[7:])
    stands("another object with the bytes it had", "rows/same.csv", data)
    s3.delete_object(Bucket=bucket, Key="rows/a b.csv")
    check("an object that was deleted has no file", lambda: opened.exists(), False)
    check("its neighbour has", lambda: (root / "rows/same.csv").read_bytes(), data)

    s3.delete_object(Bucket=bucket, Key=key)
    exported = home / "s3" / f"{bucket}-export"
    (exported / "service/prod").mkdir(parents=True)
    (exported / "service/prod/usage.json").write_bytes(b"[]")
    check("a folder made by hand is a bucket: it is listed", lambda: f"{bucket}-export" in [b["Name"] for b in s3.list_buckets()["Buckets"]], True)
    check("a folder made by hand is a bucket: its files are listed", lambda: keys(s3, f"{bucket}-export"), ["service/prod/usage.json"])
    check("a folder made by hand is a bucket: its files are read", lambda: body(s3, f"{bucket}-export", "service/prod/usage.json"), b"[]")


def replace(file, data, time_ns):
    """As programs do that synchronise: a new file, with the time of the source, under the old one's name."""
    new = file.with_name(f".{file.name}.{time.time_ns()}")
    new.write_bytes(data)
    os.utime(new, ns=(time_ns, time_ns))
    new.rename(file)
