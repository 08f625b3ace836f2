"""What S3 promises, asked by boto3 and by requests that are signed by hand. Any endpoint will do."""

import hashlib
import io
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit
from xml.etree import ElementTree

from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED

from checks import OneOf, body, etag, keys, message, noise, outcome
from signed import CHECKSUMS, NO_BODY, Signer, base64_of, checksum, send, streamed

MIB = 1 << 20


class Asked:
    """An area's clients and its own bucket."""

    def __init__(self, verdicts, place, name):
        self.check, self.place = verdicts.check, place
        self.s3 = place.client()
        # sends no checksum that it was not told to
        self.plain = place.client(request_checksum_calculation="when_required", response_checksum_validation="when_required")
        self.bucket = f"{name.replace('_', '-')}-{uuid.uuid4().hex[:8]}"
        self.s3.create_bucket(Bucket=self.bucket)

    def put(self, key, data=b"bytes", **named):
        return self.s3.put_object(Bucket=self.bucket, Key=key, Body=data, **named)

    def body(self, key, **named):
        return body(self.s3, self.bucket, key, **named)

    def read(self, key):
        """The bytes, or how S3 says that there are none."""
        found = outcome(self.s3.get_object, Bucket=self.bucket, Key=key)
        return self.body(key) if found == "200" else found

    def outcome(self, call, *args, **named):
        return outcome(call, *args, Bucket=self.bucket, **named)

    def path(self, key):
        return f"/{self.bucket}/{key}"


def buckets(asked):
    """buckets"""
    check, s3, bucket = asked.check, asked.s3, asked.bucket
    check("a bucket that was created is listed", lambda: bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]], True)
    check("HEAD of a bucket", outcome(s3.head_bucket, Bucket=bucket), "200")
    check("creating a bucket of one's own again", outcome(s3.create_bucket, Bucket=bucket), OneOf("200", "409 BucketAlreadyOwnedByYou"))
    check("a bucket's name must be one", outcome(s3.create_bucket, Bucket="Not_A_Name"), "400 InvalidBucketName")
    missing = f"{bucket}-missing"
    check("HEAD of a bucket that is not there", outcome(s3.head_bucket, Bucket=missing), "404")
    check("deleting a bucket that is not there", outcome(s3.delete_bucket, Bucket=missing), "404 NoSuchBucket")
    region = None if asked.place.region == "us-east-1" else asked.place.region
    check("the location of a bucket", lambda: s3.get_bucket_location(Bucket=bucket)["LocationConstraint"], region)
    check("the location of a bucket that is not there", outcome(s3.get_bucket_location, Bucket=missing), "404 NoSuchBucket")

    asked.put("folder/object")
    check("a bucket that holds an object is not deleted", outcome(s3.delete_bucket, Bucket=bucket), "409 BucketNotEmpty")
    check("its object stays", lambda: asked.read("folder/object"), b"bytes")
    s3.delete_object(Bucket=bucket, Key="folder/object")
    check("an empty bucket is deleted", outcome(s3.delete_bucket, Bucket=bucket), "204")
    check("a deleted bucket is gone", outcome(s3.head_bucket, Bucket=bucket), "404")
    check("a deleted bucket is not listed", lambda: bucket in [b["Name"] for b in s3.list_buckets()["Buckets"]], False)
    check("nothing is put into a deleted bucket", asked.outcome(s3.put_object, Key="k", Body=b"x"), "404 NoSuchBucket")
    check("putting did not bring the bucket back", outcome(s3.head_bucket, Bucket=bucket), "404")
    check("a bucket is created anew", outcome(s3.create_bucket, Bucket=bucket), "200")
    check("a new bucket is empty", lambda: keys(s3, bucket), [])


def missing(asked):
    """what is not there"""
    check, s3, there = asked.check, asked.s3, asked.bucket
    gone = f"{there}-missing"
    check("GET of an object that is not there", asked.outcome(s3.get_object, Key="k"), "404 NoSuchKey")
    check("HEAD of an object that is not there", asked.outcome(s3.head_object, Key="k"), "404")
    check("DELETE of an object that is not there", asked.outcome(s3.delete_object, Key="k"), "204")
    for what, call, named in [
        ("GET", s3.get_object, {"Key": "k"}),
        ("PUT", s3.put_object, {"Key": "k", "Body": b"x"}),
        ("DELETE", s3.delete_object, {"Key": "k"}),
        ("a listing", s3.list_objects_v2, {}),
        ("a listing of version 1", s3.list_objects, {}),
        ("an upload in parts", s3.create_multipart_upload, {"Key": "k"}),
        ("a listing of uploads", s3.list_multipart_uploads, {}),
        ("deleting several", s3.delete_objects, {"Delete": {"Objects": [{"Key": "k"}]}}),
        ("copying into", s3.copy_object, {"Key": "k", "CopySource": {"Bucket": there, "Key": "k"}}),
    ]:
        check(f"no such bucket: {what}", outcome(call, Bucket=gone, **named), "404 NoSuchBucket")
    check("no such bucket: copying from", asked.outcome(s3.copy_object, Key="k", CopySource={"Bucket": gone, "Key": "k"}), "404 NoSuchBucket")
    check("copying from an object that is not there", asked.outcome(s3.copy_object, Key="k", CopySource={"Bucket": there, "Key": "no"}), "404 NoSuchKey")


def objects(asked):
    """objects and what they keep"""
    check, s3, bucket = asked.check, asked.s3, asked.bucket
    data = noise(100_000)
    put = asked.put("kept", data)
    check("the ETag of PUT is the MD5", put["ETag"], etag(data))
    got = s3.get_object(Bucket=bucket, Key="kept")
    check("GET answers the bytes", got["Body"].read(), data)
    check("the ETag of GET is the MD5", got["ETag"], etag(data))
    check("GET says how long", got["ContentLength"], len(data))
    check("GET says that it takes ranges", got.get("AcceptRanges"), "bytes")
    check("without a type it is binary", got.get("ContentType"), "binary/octet-stream")
    age = abs((datetime.now(timezone.utc) - got["LastModified"]).total_seconds())
    check("GET says since when", age < 120, True)
    head = s3.head_object(Bucket=bucket, Key="kept")
    check("HEAD says what GET says", [head.get(n) for n in ("ETag", "ContentLength", "ContentType", "LastModified")],
          [got.get(n) for n in ("ETag", "ContentLength", "ContentType", "LastModified")])

    described = {
        "ContentType": "text/csv; charset=utf-8", "CacheControl": "max-age=60, private", "ContentEncoding": "gzip",
        "ContentDisposition": 'attachment; filename="a b.csv"', "ContentLanguage": "de-CH",
        "Metadata": {"fetched-at": "2026-10-01T00:00:00Z", "source": "https://example.com/?a=1&b=2", "empty-not": "x  y"}}
    asked.put("described", b"a,b\n", **described)
    for name, value in described.items():
        check(f"{name} is kept", lambda: s3.head_object(Bucket=bucket, Key="described").get(name), value)
        check(f"GET answers {name}", lambda: s3.get_object(Bucket=bucket, Key="described").get(name), value)
    asked.put("described", b"c,d\n", ContentType="text/plain")
    head = s3.head_object(Bucket=bucket, Key="described")
    check("a new object has nothing of the old one's",
          [head.get(n) for n in described], ["text/plain", None, None, None, None, {}])
    check("a new object has its own bytes and ETag", lambda: (asked.body("described"), head["ETag"]), (b"c,d\n", etag(b"c,d\n")))
    asked.put("names", b"x", Metadata={"Mixed-Case": "Value"})
    check("names of metadata are in lower case", lambda: s3.head_object(Bucket=bucket, Key="names")["Metadata"], {"mixed-case": "Value"})

    check("GET answers as it is asked to", lambda: s3.get_object(
        Bucket=bucket, Key="kept", ResponseContentType="text/x", ResponseContentDisposition="inline", ResponseCacheControl="no-store")
        ["ResponseMetadata"]["HTTPHeaders"] | {}, Holding({"content-type": "text/x", "content-disposition": "inline", "cache-control": "no-store"}))

    empty = asked.put("empty", b"")
    check("an empty object has the MD5 of nothing", empty["ETag"], etag(b""))
    check("an empty object is read", lambda: asked.read("empty"), b"")
    check("an empty object is listed", lambda: [o["Size"] for o in s3.list_objects_v2(Bucket=bucket, Prefix="empty")["Contents"]], [0])

    check("DELETE of an object", asked.outcome(s3.delete_object, Key="kept"), "204")
    check("a deleted object is gone", lambda: asked.read("kept"), "404 NoSuchKey")
    check("a deleted object is not listed", lambda: "kept" in keys(s3, bucket), False)
    check("DELETE of a deleted object", asked.outcome(s3.delete_object, Key="kept"), "204")

    for storage_class in ("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"):
        check(f"storage class {storage_class} is accepted", asked.outcome(s3.put_object, Key="class", Body=storage_class.encode(), StorageClass=storage_class), "200")
        check(f"an object of class {storage_class} is read", lambda: asked.read("class"), storage_class.encode())
    check("the ACL private is accepted", asked.outcome(s3.put_object, Key="acl", Body=b"x", ACL="private"), "200")
    check("encryption by S3 is accepted", asked.outcome(s3.put_object, Key="encrypted", Body=b"x", ServerSideEncryption="AES256"), "200")


class Holding:
    """Equal to a dictionary that has these members, among others."""

    def __init__(self, members):
        self.members = members

    def __eq__(self, other):
        return isinstance(other, dict) and self.members.items() <= other.items()

    def __repr__(self):
        return f"what holds {self.members!r}"


def checksums(asked):
    """checksums"""
    check, s3, plain, bucket = asked.check, asked.s3, asked.plain, asked.bucket
    data, other = noise(5_000), noise(5_000, 2)
    for name in CHECKSUMS:
        member = f"Checksum{name}"
        right, wrong = checksum(name, data), checksum(name, other)
        put = lambda key, value: outcome(plain.put_object, Bucket=bucket, Key=key, Body=data, **{member: value})
        check(f"{name}: the right one is accepted", lambda: put(name, right), "200")
        check(f"{name}: HEAD answers it when asked", lambda: plain.head_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED").get(member), right)
        check(f"{name}: GET answers it when asked", lambda: plain.get_object(Bucket=bucket, Key=name, ChecksumMode="ENABLED").get(member), right)
        check(f"{name}: GET does not answer it unasked", lambda: plain.get_object(Bucket=bucket, Key=name).get(member), None)
        check(f"{name}: a listing names it", lambda: [o.get("ChecksumAlgorithm") for o in s3.list_objects_v2(Bucket=bucket, Prefix=name)["Contents"] if o["Key"] == name], [[name]])
        check(f"{name}: a wrong one is refused", lambda: put(f"wrong-{name}", wrong), "400 BadDigest")
        check(f"{name}: nothing is stored of what is refused", lambda: asked.read(f"wrong-{name}"), "404 NoSuchKey")
        check(f"{name}: what is none is refused", lambda: put(f"wrong-{name}", "no-checksum"), OneOf("400 InvalidRequest", "400 BadDigest"))
        check(f"{name}: what is refused leaves what stood", lambda: (
            outcome(plain.put_object, Bucket=bucket, Key=name, Body=other, **{member: right}), asked.read(name)), ("400 BadDigest", data))

    md5 = base64_of(hashlib.md5(data).digest())
    check("the right Content-MD5 is accepted", outcome(plain.put_object, Bucket=bucket, Key="md5", Body=data, ContentMD5=md5), "200")
    check("a wrong Content-MD5 is refused", outcome(plain.put_object, Bucket=bucket, Key="wrong-md5", Body=other, ContentMD5=md5), "400 BadDigest")
    check("nothing is stored under a wrong Content-MD5", lambda: asked.read("wrong-md5"), "404 NoSuchKey")
    check("a wrong Content-MD5 leaves what stood", lambda: (
        outcome(plain.put_object, Bucket=bucket, Key="md5", Body=other, ContentMD5=md5), asked.read("md5")), ("400 BadDigest", data))
    check("what is no MD5 is refused", outcome(plain.put_object, Bucket=bucket, Key="wrong-md5", Body=data, ContentMD5="AAAA"), OneOf("400 InvalidDigest", "400 BadDigest"))
    place = asked.place
    check("a body that is not what was signed is refused",
          lambda: send(place, "PUT", asked.path("tampered"), body=data, payload=hashlib.sha256(other).hexdigest()).outcome, "400 XAmzContentSHA256Mismatch")
    check("nothing is stored of it", lambda: asked.read("tampered"), "404 NoSuchKey")


def streams(asked):
    """bodies in signed and unsigned chunks"""
    check, place, bucket = asked.check, asked.place, asked.bucket
    pieces = [noise(64 << 10, n) for n in range(3)] + [b"the last"]
    data = b"".join(pieces)
    check("an unsigned payload is accepted", lambda: (send(place, "PUT", asked.path("unsigned"), body=data, payload="UNSIGNED-PAYLOAD").outcome, asked.read("unsigned")), ("200", data))
    right, wrong = (checksum("CRC32", d) for d in (data, b"other"))
    kinds = [
        ("signed chunks", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", None),
        ("signed chunks and a trailer", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", ("x-amz-checksum-crc32", right)),
        ("unsigned chunks and a trailer", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", ("x-amz-checksum-crc32", right)),
    ]
    for number, (what, kind, trailer) in enumerate(kinds):
        key = f"stream-{number}"
        check(f"{what}: accepted", lambda: streamed(place, asked.path(key), pieces, kind, trailer=trailer).outcome, "200")
        check(f"{what}: the bytes are those of the chunks", lambda: asked.read(key), data)
        head = lambda: asked.plain.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        check(f"{what}: ETag and length are of the bytes", lambda: (head()["ETag"], head()["ContentLength"]), (etag(data), len(data)))
        check(f"{what}: aws-chunked is no encoding of the object", lambda: head().get("ContentEncoding"), OneOf(None, ""))
        if trailer:
            check(f"{what}: the checksum is kept", lambda: head().get("ChecksumCRC32"), right)
            check(f"{what}: a wrong checksum is refused", lambda: (
                streamed(place, asked.path("wrong"), pieces, kind, trailer=("x-amz-checksum-crc32", wrong)).outcome, asked.read("wrong")),
                ("400 BadDigest", "404 NoSuchKey"))
        spoilt = "403 SignatureDoesNotMatch" if "AWS4" in kind else "400 BadDigest"
        check(f"{what}: a spoilt chunk is refused", lambda: (
            streamed(place, asked.path("wrong"), pieces, kind, trailer=trailer, spoil=True).outcome, asked.read("wrong")), (spoilt, "404 NoSuchKey"))
        check(f"{what}: a spoilt chunk leaves what stood", lambda: (
            streamed(place, asked.path(key), pieces, kind, trailer=trailer, spoil=True).outcome, asked.read(key)), (spoilt, data))
    check("an encoding beside aws-chunked is kept", lambda: (
        streamed(place, asked.path("both"), pieces, kinds[0][1], headers={"Content-Encoding": "aws-chunked,gzip"}).outcome,
        asked.s3.head_object(Bucket=bucket, Key="both").get("ContentEncoding")), ("200", "gzip"))


def ranges(asked):
    """ranges"""
    check, s3, bucket = asked.check, asked.s3, asked.bucket
    data = bytes(range(100))
    asked.put("hundred", data)
    asked.put("empty", b"")

    def part(wanted, key="hundred"):
        found = outcome(s3.get_object, Bucket=bucket, Key=key, Range=wanted)
        if found not in ("200", "206"):
            return found
        got = s3.get_object(Bucket=bucket, Key=key, Range=wanted)
        return found, got["Body"].read(), got.get("ContentRange")

    for what, wanted, found in [
        ("the first byte", "bytes=0-0", ("206", data[:1], "bytes 0-0/100")),
        ("some bytes", "bytes=10-19", ("206", data[10:20], "bytes 10-19/100")),
        ("the last byte", "bytes=99-99", ("206", data[99:], "bytes 99-99/100")),
        ("from one on", "bytes=90-", ("206", data[90:], "bytes 90-99/100")),
        ("the last three", "bytes=-3", ("206", data[-3:], "bytes 97-99/100")),
        ("more at the end than there is", "bytes=-1000", ("206", data, "bytes 0-99/100")),
        ("to beyond the end", "bytes=95-1000", ("206", data[95:], "bytes 95-99/100")),
        ("all", "bytes=0-99", ("206", data, "bytes 0-99/100")),
        ("beyond the end", "bytes=100-", "416 InvalidRange"),
        ("between two places beyond the end", "bytes=200-300", "416 InvalidRange"),
        ("the last none", "bytes=-0", "416 InvalidRange"),
        ("what is no range", "bytes=abc", OneOf(("200", data, None), "400 InvalidArgument")),
    ]:
        check(f"range: {what}", lambda: part(wanted), found)
    check("range: the first byte of nothing", lambda: part("bytes=0-0", "empty"), "416 InvalidRange")
    head = lambda: s3.head_object(Bucket=bucket, Key="hundred", Range="bytes=10-19")
    # S3 answers 206; the library that the embedded cloud speaks S3 with has 200 only
    check("range: HEAD", lambda: (head()["ContentLength"], head()["ETag"]), (10, etag(data)))


def conditions(asked):
    """conditions of GET, HEAD, PUT and DELETE"""
    check, s3, bucket = asked.check, asked.s3, asked.bucket
    right, wrong = etag(b"bytes"), etag(b"other")
    asked.put("k")
    since = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before = since - timedelta(days=1)
    for what, condition, get in [
        ("If-Match of what stands", {"IfMatch": right}, "200"),
        ("If-Match of something else", {"IfMatch": wrong}, "412 PreconditionFailed"),
        ("If-None-Match of what stands", {"IfNoneMatch": right}, "304"),
        ("If-None-Match of something else", {"IfNoneMatch": wrong}, "200"),
        ("If-Modified-Since of the day before", {"IfModifiedSince": before}, "200"),
        ("If-Modified-Since of then", {"IfModifiedSince": since}, "304"),
        ("If-Unmodified-Since of the day before", {"IfUnmodifiedSince": before}, "412 PreconditionFailed"),
        ("If-Unmodified-Since of then", {"IfUnmodifiedSince": since}, "200"),
        ("If-Match that holds before If-Unmodified-Since that does not", {"IfMatch": right, "IfUnmodifiedSince": before}, "200"),
        ("If-None-Match that does not hold before If-Modified-Since that does", {"IfNoneMatch": right, "IfModifiedSince": before}, "304"),
    ]:
        check(f"GET {what}", asked.outcome(s3.get_object, Key="k", **condition), get)
        check(f"HEAD {what}", asked.outcome(s3.head_object, Key="k", **condition), get.split()[0])
    answer = lambda: send(asked.place, "GET", asked.path("k"), headers={"If-None-Match": right})
    check("304 names the ETag and has no body", lambda: (answer().headers.get("etag"), answer().body), (right, b""))

    put = lambda key, **condition: asked.outcome(s3.put_object, Key=key, Body=b"changed", **condition)
    check("PUT If-None-Match of * where something stands", put("k", IfNoneMatch="*"), "412 PreconditionFailed")
    check("PUT If-Match of something else", put("k", IfMatch=wrong), "412 PreconditionFailed")
    check("a refused PUT leaves what stood", lambda: asked.read("k"), b"bytes")
    check("PUT If-Match where nothing stands", put("none", IfMatch=right), "404 NoSuchKey")
    check("a refused PUT stores nothing", lambda: asked.read("none"), "404 NoSuchKey")
    check("PUT If-None-Match of an ETag is not there", put("k", IfNoneMatch=wrong), "501 NotImplemented")
    check("PUT If-None-Match of * where nothing stands", put("new", IfNoneMatch="*"), "200")
    asked.put("k")
    check("PUT If-Match of what stands", put("k", IfMatch=right), "200")
    check("an allowed PUT is stored", lambda: asked.read("k"), b"changed")

    asked.put("d")
    check("DELETE If-Match of something else is refused", asked.outcome(s3.delete_object, Key="d", IfMatch=wrong), "412 PreconditionFailed")
    check("a refused DELETE deletes nothing", lambda: asked.read("d"), b"bytes")
    asked.put("d")
    check("DELETE If-Match of what stands", asked.outcome(s3.delete_object, Key="d", IfMatch=right), "204")
    check("an allowed DELETE deletes", lambda: asked.read("d"), "404 NoSuchKey")
    asked.put("d")
    check("DELETE If-Match of * where something stands", lambda: (asked.outcome(s3.delete_object, Key="d", IfMatch="*"), asked.read("d")), ("204", "404 NoSuchKey"))
    asked.put("d")
    answer = lambda: s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "d", "ETag": wrong}, {"Key": "new", "ETag": etag(b"changed")}]})
    found = answer()
    check("deleting several looks at each one's ETag", ([(e["Key"], e["Code"]) for e in found.get("Errors", [])], [d["Key"] for d in found.get("Deleted", [])]), ([("d", "PreconditionFailed")], ["new"]))
    check("what was refused among several stays", lambda: asked.read("d"), b"bytes")


SOME_KEYS = [
    "a", "a b", "a-b", "a.b", "a/b", "a/b/c", "a+b", "a%20b", "a%2Fb", "a&b=c", "a?b", "a#b", "a:b", "a;b", "a,b", "a=b", "a@b", "a!b$c'd(e)f*g", "a\"b",
    "a<b>c", "a\\b", "a|b^c`d{e}f~g[h]", "a  b", " a ", "a\nb", "a\tb", "A", "_", "ü", "u\u0308", "日本/東京", "\uffee", "\U0001d11e", "emoji-\U0001f4b6", "a//b", "//", "a/", "/a", "///a", "con", "a.",
    "..a", "a..", "a/.b", ".hidden", "x/.metadata", "k" * 1024, "ü" * 512, "d/" * 512, "x" * 300 + "/" + "y" * 300,
]
DOTS = [".", "..", "./a", "../a", "../../a", "a/./b", "a/../b", "a/..", "a/."]


def names(asked):
    """keys of all kinds"""
    check, s3, bucket, place = asked.check, asked.s3, asked.bucket, asked.place
    for key in SOME_KEYS:
        shown, data = repr(key if len(key) < 40 else key[:8] + f"... of {len(key.encode())} bytes"), f"bytes of {key}".encode()
        check(f"key {shown} is put", asked.outcome(s3.put_object, Key=key, Body=data), "200")
        check(f"key {shown} is read", lambda: asked.read(key), data)
        check(f"key {shown}: HEAD", lambda: s3.head_object(Bucket=bucket, Key=key)["ETag"], etag(data))
    for key in DOTS:
        data = f"bytes of {key}".encode()
        check(f"key {key!r} is put", lambda: send(place, "PUT", asked.path(key), body=data).outcome, "200")
        check(f"key {key!r} is read", lambda: send(place, "GET", asked.path(key)).body, data)
    everything = sorted(SOME_KEYS + DOTS, key=str.encode)
    check("all of them are listed, in the order of their bytes", lambda: keys(s3, bucket), everything)
    check("all of them are listed page by page", lambda: keys(s3, bucket, PaginationConfig={"PageSize": 7}), everything)
    check("all of them are listed by version 1", lambda: [o["Key"] for o in s3.list_objects(Bucket=bucket)["Contents"]], everything)
    check("all of them still have their bytes", lambda: [key for key in SOME_KEYS if asked.read(key) != f"bytes of {key}".encode()], [])
    for key in DOTS:
        check(f"key {key!r} is deleted", lambda: (send(place, "DELETE", asked.path(key)).outcome, send(place, "GET", asked.path(key)).outcome), ("204", "404 NoSuchKey"))
    for key in SOME_KEYS:
        asked.outcome(s3.delete_object, Key=key)
        if key == "a":
            check("deleting a leaves a/ and a/b", lambda: [asked.read("a/"), asked.read("a/b")], [b"bytes of a/", b"bytes of a/b"])
    check("all of them are deleted", lambda: keys(s3, bucket), [])
    check("a key of 1,025 bytes is refused", asked.outcome(s3.put_object, Key="k" * 1025, Body=b"x"), "400 KeyTooLongError")
    check("a key of 1,026 bytes in 513 letters is refused", asked.outcome(s3.put_object, Key="ü" * 513, Body=b"x"), "400 KeyTooLongError")


LISTED = ["a", "a-b", "a.b", "a/b", "a/c/d", "a/c/e", "b c/1", "b+c", "c%20/x", "d", "ü/1", "ü/2", "\uffee", "\U0001d11e"]


def fill(asked):
    for key in LISTED:
        asked.outcome(asked.s3.put_object, Key=key, Body=key.encode())


def listing(asked):
    """ListObjectsV2"""
    check, s3, bucket = asked.check, asked.s3, asked.bucket
    fill(asked)
    ls = lambda **named: s3.list_objects_v2(Bucket=bucket, **named)
    found = ls()
    check("v2: keys in order", lambda: [o["Key"] for o in found["Contents"]], LISTED)
    check("v2: ETags", [o["ETag"] for o in found["Contents"]], [etag(k.encode()) for k in LISTED])
    check("v2: sizes", [o["Size"] for o in found["Contents"]], [len(k.encode()) for k in LISTED])
    check("v2: storage class", {o.get("StorageClass") for o in found["Contents"]}, {"STANDARD"})
    check("v2: times", {abs((datetime.now(timezone.utc) - o["LastModified"]).total_seconds()) < 120 for o in found["Contents"]}, {True})
    check("v2: what it says of itself", [found.get(n) for n in ("Name", "Prefix", "MaxKeys", "KeyCount", "IsTruncated")], [bucket, "", 1000, len(LISTED), False])
    check("v2: no owner unasked", [o for o in found["Contents"] if "Owner" in o], [])
    check("v2: owners when asked", lambda: all(o["Owner"]["ID"] for o in ls(FetchOwner=True)["Contents"]), True)
    check("v2: the time is that of HEAD", lambda: s3.head_object(Bucket=bucket, Key="d")["LastModified"],
          next(o["LastModified"].replace(microsecond=0) for o in found["Contents"] if o["Key"] == "d"))

    def walk(**named):
        """Keys and prefixes, page by page."""
        pages, token = [], {}
        while len(pages) < 50:
            page = ls(**named, **token)
            pages.append([o["Key"] for o in page.get("Contents", [])] + [p["Prefix"] for p in page.get("CommonPrefixes", [])])
            if not page["IsTruncated"]:
                return pages
            token = {"ContinuationToken": page["NextContinuationToken"]}

    check("v2: pages of three", lambda: walk(MaxKeys=3), [LISTED[n:n + 3] for n in range(0, len(LISTED), 3)])
    check("v2: pages of one", lambda: walk(MaxKeys=1), [[k] for k in LISTED])
    check("v2: a page that is just full is the last", lambda: ls(MaxKeys=len(LISTED))["IsTruncated"], False)
    check("v2: no keys at all", lambda: [ls(MaxKeys=0).get(n) for n in ("KeyCount", "IsTruncated", "Contents")], [0, False, None])
    check("v2: more than a thousand are a thousand", lambda: ls(MaxKeys=5000)["MaxKeys"], 1000)
    check("v2: the token is said again", lambda: (lambda t: ls(ContinuationToken=t).get("ContinuationToken") == t)(ls(MaxKeys=1)["NextContinuationToken"]), True)
    check("v2: what is no token is refused", asked.outcome(s3.list_objects_v2, ContinuationToken="no token"), "400 InvalidArgument")
    check("v2: after a key", lambda: [o["Key"] for o in ls(StartAfter="b+c")["Contents"]], LISTED[8:])
    check("v2: after a key that is not there", lambda: [o["Key"] for o in ls(StartAfter="a/")["Contents"]], LISTED[3:])
    check("v2: after a key, in pages", lambda: walk(StartAfter="b+c", MaxKeys=4), [LISTED[8:12], LISTED[12:]])
    check("v2: by prefix", lambda: [o["Key"] for o in ls(Prefix="a")["Contents"]], LISTED[:6])
    check("v2: by a prefix with a plus", lambda: [o["Key"] for o in ls(Prefix="b+")["Contents"]], ["b+c"])
    check("v2: by a prefix with a percent", lambda: [o["Key"] for o in ls(Prefix="c%20/")["Contents"]], ["c%20/x"])
    check("v2: by a prefix that ends in a folder's name", lambda: [o["Key"] for o in ls(Prefix="a/c")["Contents"]], ["a/c/d", "a/c/e"])
    check("v2: by a prefix that nothing has", lambda: [ls(Prefix="x").get(n) for n in ("KeyCount", "Contents")], [0, None])

    def folders(**named):
        page = ls(**named)
        return [o["Key"] for o in page.get("Contents", [])], [p["Prefix"] for p in page.get("CommonPrefixes", [])], page["KeyCount"]

    top = ["a", "a-b", "a.b", "b+c", "d", "\uffee", "\U0001d11e"], ["a/", "b c/", "c%20/", "ü/"]
    check("v2: folders", lambda: folders(Delimiter="/"), (*top, 11))
    check("v2: folders of a folder", lambda: folders(Delimiter="/", Prefix="a/"), (["a/b"], ["a/c/"], 2))
    check("v2: a folder's name without its end", lambda: folders(Delimiter="/", Prefix="a/c"), ([], ["a/c/"], 1))
    check("v2: another delimiter", lambda: folders(Delimiter="-"), ([k for k in LISTED if k != "a-b"], ["a-"], 14))
    check("v2: a delimiter of two letters", lambda: folders(Delimiter="/c"), ([k for k in LISTED if not k.startswith("a/c")], ["a/c"], 13))
    check("v2: folders in pages", lambda: walk(Delimiter="/", MaxKeys=2), [["a", "a-b"], ["a.b", "a/"], ["b+c", "b c/"], ["d", "c%20/"], ["\uffee", "ü/"], ["\U0001d11e"]])
    check("v2: folders one by one", lambda: sorted(sum(walk(Delimiter="/", MaxKeys=1), [])), sorted(top[0] + top[1]))
    check("v2: folders after a folder's last key", lambda: folders(Delimiter="/", StartAfter="a/c/e")[1], top[1][1:])
    encoded = lambda: ls(EncodingType="url", Delimiter="/")
    check("v2: names as of a URL when asked", lambda: [p["Prefix"] for p in encoded()["CommonPrefixes"]], OneOf(["a/", "b+c/", "c%2520/", "%C3%BC/"], ["a/", "b%20c/", "c%2520/", "%C3%BC/"]))
    asked.outcome(s3.put_object, Key="n\nl", Body=b"x")
    plain = lambda: [e.text for e in ElementTree.fromstring(send(asked.place, "GET", f"/{bucket}", query={"list-type": "2"}).body).iter() if e.tag.endswith("Key")]
    check("v2: names as they are when not asked", plain, sorted([*LISTED, "n\nl"], key=str.encode))


def listing_v1(asked):
    """ListObjects, version 1"""
    check, s3, bucket = asked.check, asked.s3, asked.bucket
    fill(asked)
    ls = lambda **named: s3.list_objects(Bucket=bucket, **named)
    names = lambda page: [o["Key"] for o in page.get("Contents", [])]
    prefixes = lambda page: [p["Prefix"] for p in page.get("CommonPrefixes", [])]
    check("v1: keys in order", lambda: names(ls()), LISTED)
    check("v1: ETags", lambda: [o["ETag"] for o in ls()["Contents"]], [etag(k.encode()) for k in LISTED])
    check("v1: sizes", lambda: [o["Size"] for o in ls()["Contents"]], [len(k.encode()) for k in LISTED])
    check("v1: storage class", lambda: {o.get("StorageClass") for o in ls()["Contents"]}, {"STANDARD"})
    check("v1: owners", lambda: all(o["Owner"]["ID"] for o in ls()["Contents"]), True)
    check("v1: what it says of itself", lambda: [ls().get(n) for n in ("Name", "Prefix", "Marker", "MaxKeys", "IsTruncated")], [bucket, "", "", 1000, False])
    check("v1: by prefix", lambda: names(ls(Prefix="a/c")), ["a/c/d", "a/c/e"])
    check("v1: after a marker", lambda: (names(ls(Marker="b+c")), ls(Marker="b+c")["Marker"]), (LISTED[8:], "b+c"))
    check("v1: after a marker that is no key", lambda: names(ls(Marker="a/")), LISTED[3:])
    check("v1: a page", lambda: (names(ls(MaxKeys=3)), ls(MaxKeys=3)["IsTruncated"]), (LISTED[:3], True))
    check("v1: no next marker without a delimiter", lambda: ls(MaxKeys=3).get("NextMarker"), None)
    check("v1: all pages", lambda: [o["Key"] for page in s3.get_paginator("list_objects").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3}) for o in page["Contents"]], LISTED)
    check("v1: no keys at all", lambda: [ls(MaxKeys=0).get(n) for n in ("IsTruncated", "Contents")], [False, None])
    check("v1: folders", lambda: (names(ls(Delimiter="/")), prefixes(ls(Delimiter="/"))), (["a", "a-b", "a.b", "b+c", "d", "\uffee", "\U0001d11e"], ["a/", "b c/", "c%20/", "ü/"]))
    check("v1: the delimiter is said again", lambda: ls(Delimiter="/").get("Delimiter"), "/")
    page = lambda: ls(Delimiter="/", MaxKeys=4)
    check("v1: folders in pages", lambda: (names(page()), prefixes(page()), page()["IsTruncated"], page()["NextMarker"]), (["a", "a-b", "a.b"], ["a/"], True, "a/"))
    check("v1: after a folder comes none of it", lambda: (names(ls(Delimiter="/", Marker="a/")), prefixes(ls(Delimiter="/", Marker="a/"))),
          (["b+c", "d", "\uffee", "\U0001d11e"], ["b c/", "c%20/", "ü/"]))
    encoded = lambda: ls(EncodingType="url")
    check("v1: names as of a URL when asked", lambda: (encoded()["EncodingType"], names(encoded())[6:10]), OneOf(("url", ["b+c/1", "b%2Bc", "c%2520/x", "d"]), ("url", ["b%20c/1", "b%2Bc", "c%2520/x", "d"])))
    asked.outcome(s3.put_object, Key="n\nl", Body=b"x")
    plain = lambda: [e.text for e in ElementTree.fromstring(send(asked.place, "GET", f"/{bucket}").body).iter() if e.tag.endswith("Key")]
    check("v1: names as they are when not asked", plain, sorted([*LISTED, "n\nl"], key=str.encode))


def copies(asked):
    """copies"""
    check, s3, bucket = asked.check, asked.s3, asked.bucket
    described = {"ContentType": "text/csv", "CacheControl": "no-cache", "ContentDisposition": "inline", "Metadata": {"source": "here"}}
    source = "from/a b+ü%20"
    data = noise(30_000)
    asked.put(source, data, **described)
    copy = lambda key, **named: asked.outcome(s3.copy_object, Key=key, **({"CopySource": {"Bucket": bucket, "Key": source}} | named))
    said = lambda key: {n: s3.head_object(Bucket=bucket, Key=key).get(n) for n in described}
    check("a copy is made", copy("copy"), "200")
    check("a copy has the bytes", lambda: asked.read("copy"), data)
    check("a copy has what was kept of the source", lambda: said("copy"), described)
    check("the answer names ETag and time", lambda: (lambda r: (r["ETag"], r["LastModified"].year >= 2024))(
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": source})["CopyObjectResult"]), (etag(data), True))
    check("the source may be written with a slash before it", copy("slash", CopySource=f"/{bucket}/{source}"), "200")
    other = {"ContentType": "text/plain", "Metadata": {"other": "value"}}
    check("REPLACE", copy("replaced", MetadataDirective="REPLACE", **other), "200")
    check("REPLACE keeps only what it states", lambda: said("replaced"), {"ContentType": "text/plain", "CacheControl": None, "ContentDisposition": None, "Metadata": {"other": "value"}})
    check("COPY ignores what the request states", lambda: (copy("copied", MetadataDirective="COPY", **other), said("copied")), ("200", described))
    check("onto itself without a change", copy(source), "400 InvalidRequest")
    check("onto itself with REPLACE", lambda: (copy(source, MetadataDirective="REPLACE", **other), said(source)["Metadata"], asked.read(source)), ("200", {"other": "value"}, data))
    for what, condition, expected in [
        ("If-Match of what stands", {"CopySourceIfMatch": etag(data)}, "200"),
        ("If-Match of something else", {"CopySourceIfMatch": etag(b"")}, "412 PreconditionFailed"),
        ("If-None-Match of what stands", {"CopySourceIfNoneMatch": etag(data)}, "412 PreconditionFailed"),
        ("If-None-Match of something else", {"CopySourceIfNoneMatch": etag(b"")}, "200"),
        ("If-Unmodified-Since of long ago", {"CopySourceIfUnmodifiedSince": datetime(2020, 1, 1, tzinfo=timezone.utc)}, "412 PreconditionFailed"),
        ("If-Modified-Since of long ago", {"CopySourceIfModifiedSince": datetime(2020, 1, 1, tzinfo=timezone.utc)}, "200"),
    ]:
        key = f"on condition {what}"
        check(f"copy, source {what}", copy(key, **condition), expected)
        check(f"copy, source {what}: the copy is there or not", lambda: asked.read(key), data if expected == "200" else "404 NoSuchKey")
    elsewhere = f"{bucket}-2"
    s3.create_bucket(Bucket=elsewhere)
    check("into another bucket", lambda: (outcome(s3.copy_object, Bucket=elsewhere, Key="k", CopySource={"Bucket": bucket, "Key": source}), body(s3, elsewhere, "k")), ("200", data))
    empty(s3, elsewhere)


def parts(asked):
    """uploads in parts"""
    check, s3, plain, bucket = asked.check, asked.s3, asked.plain, asked.bucket
    first, second, last = noise(5 * MIB, 3), noise(5 * MIB, 4), b"the last part"
    described = {"ContentType": "text/csv", "CacheControl": "no-cache", "Metadata": {"made": "in parts"}}

    def begin(key, **named):
        return s3.create_multipart_upload(Bucket=bucket, Key=key, **named)["UploadId"]

    def put(key, upload, number, data):
        return {"PartNumber": number, "ETag": s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data)["ETag"]}

    def complete(key, upload, parts, **named):
        return asked.outcome(s3.complete_multipart_upload, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}, **named)

    # the plainest upload by itself: numbered 1 and 2
    plainest = begin("plainest", **described)
    pair = [put("plainest", plainest, 1, first), put("plainest", plainest, 2, last)]
    check("two parts: a wrong ETag of the last is refused", complete("plainest", plainest, [pair[0], pair[1] | {"ETag": etag(b"wrong")}]), "400 InvalidPart")
    check("two parts: nothing is stored then", lambda: asked.read("plainest"), "404 NoSuchKey")
    check("two parts: the upload is completed after that", complete("plainest", plainest, pair), "200")
    check("two parts: the bytes are those of the parts", lambda: asked.read("plainest") == first + last, True)
    of_two = hashlib.md5(hashlib.md5(first).digest() + hashlib.md5(last).digest()).hexdigest()
    check("two parts: the ETag is that of their MD5s", lambda: s3.head_object(Bucket=bucket, Key="plainest")["ETag"], f'"{of_two}-2"')
    again = begin("plainest again", **described)
    pair = [put("plainest again", again, 1, first), put("plainest again", again, 2, last)]
    check("two parts: completed without a mistake before", lambda: (complete("plainest again", again, pair), asked.read("plainest again") == first + last), ("200", True))
    check("two parts: what was said at the beginning is kept", lambda: {n: s3.head_object(Bucket=bucket, Key="plainest again").get(n) for n in described}, described)
    for done in ("plainest", "plainest again"):
        s3.delete_object(Bucket=bucket, Key=done)

    numbers = lambda page: [(p["PartNumber"], p["Size"], p["ETag"]) for p in page.get("Parts", [])]
    key = "in parts/a b+ü"
    upload = begin(key, **described)
    one, two, three = put(key, upload, 1, first), put(key, upload, 2, b"replaced below"), put(key, upload, 7, last)
    two = put(key, upload, 2, second)
    check("a part's ETag is its MD5", [p["ETag"] for p in (one, two, three)], [etag(d) for d in (first, second, last)])
    check("before it is complete there is no object", lambda: (asked.read(key), keys(s3, bucket)), ("404 NoSuchKey", []))
    check("parts are listed", lambda: numbers(s3.list_parts(Bucket=bucket, Key=key, UploadId=upload)),
          [(1, 5 * MIB, etag(first)), (2, 5 * MIB, etag(second)), (7, len(last), etag(last))])
    page = lambda **named: s3.list_parts(Bucket=bucket, Key=key, UploadId=upload, MaxParts=2, **named)
    check("parts are listed in pages", lambda: ([n[0] for n in numbers(page())], page()["IsTruncated"], page()["NextPartNumberMarker"], [n[0] for n in numbers(page(PartNumberMarker=2))]), ([1, 2], True, 2, [7]))
    uploads = lambda **named: [(u["Key"], u["UploadId"]) for u in s3.list_multipart_uploads(Bucket=bucket, **named).get("Uploads", [])]
    check("uploads are listed", uploads, [(key, upload)])

    check("a wrong ETag of a part is refused", complete(key, upload, [one, two | {"ETag": etag(b"wrong")}, three]), "400 InvalidPart")
    check("a part that is not there is refused", complete(key, upload, [one, two, three | {"PartNumber": 8}]), "400 InvalidPart")
    check("the wrong order is refused", complete(key, upload, [two, one, three]), "400 InvalidPartOrder")
    check("the same part twice is refused", complete(key, upload, [one, one, three]), "400 InvalidPartOrder")
    check("no parts are refused", lambda: send(asked.place, "POST", asked.path(key), query={"uploadId": upload}, body=b"<CompleteMultipartUpload/>").outcome, "400 MalformedXML")
    check("what was refused stored nothing", lambda: asked.read(key), "404 NoSuchKey")
    check("what was refused left the upload", uploads, [(key, upload)])
    check("the upload is completed", complete(key, upload, [one, two, three]), "200")
    data = first + second + last
    whole = hashlib.md5(b"".join(hashlib.md5(d).digest() for d in (first, second, last))).hexdigest()
    head = lambda: s3.head_object(Bucket=bucket, Key=key)
    check("the bytes are those of the parts", lambda: asked.read(key) == data, True)
    check("the ETag is that of the parts' MD5s", lambda: head()["ETag"], f'"{whole}-3"')
    check("a listing has the same ETag", lambda: [o["ETag"] for o in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]], [f'"{whole}-3"'])
    check("what was said at the beginning is kept", lambda: {n: head().get(n) for n in described}, described)
    check("a completed upload is gone", lambda: (uploads(), asked.outcome(s3.list_parts, Key=key, UploadId=upload)), ([], "404 NoSuchUpload"))
    check("If-Match by such an ETag", lambda: asked.outcome(s3.get_object, Key=key, IfMatch=f'"{whole}-3"'), "200")

    some = begin("some")
    check("parts in twos of the parts that are there", lambda: (put("some", some, 1, first), put("some", some, 3, last), complete("some", some, [{"PartNumber": 3, "ETag": etag(last)}]), asked.read("some"))[2:], ("200", last))

    small = begin("small")
    pair = [put("small", small, 1, b"too small"), put("small", small, 2, last)]
    check("a small part that is not the last is refused", complete("small", small, pair), "400 EntityTooSmall")
    check("nothing is stored of too small parts", lambda: asked.read("small"), "404 NoSuchKey")
    check("an upload is given up", asked.outcome(s3.abort_multipart_upload, Key="small", UploadId=small), "204")
    check("what was given up is gone", lambda: uploads(), [])
    for what, call, named in [
        ("a part", s3.upload_part, {"PartNumber": 1, "Body": b"x"}),
        ("completing", s3.complete_multipart_upload, {"MultipartUpload": {"Parts": pair}}),
        ("giving up", s3.abort_multipart_upload, {}),
        ("listing parts", s3.list_parts, {}),
    ]:
        check(f"no such upload: {what}", asked.outcome(call, Key="small", UploadId=small, **named), "404 NoSuchUpload")
        check(f"an invented upload: {what}", asked.outcome(call, Key="small", UploadId="invented", **named), "404 NoSuchUpload")
    stays = begin("right key")
    check("an upload is of its key", asked.outcome(s3.upload_part, Key="wrong key", UploadId=stays, PartNumber=1, Body=b"x"), "404 NoSuchUpload")
    for number in (0, 10_001):
        check(f"a part number {number} is refused", asked.outcome(s3.upload_part, Key="right key", UploadId=stays, PartNumber=number, Body=b"x"), "400 InvalidArgument")

    for name in ("u/a", "u/b", "u/c/1", "u/c/2"):
        begin(name)
    listed = lambda **named: [k for k, _ in uploads(**named)]
    check("uploads by prefix, in order", lambda: listed(Prefix="u/"), ["u/a", "u/b", "u/c/1", "u/c/2"])
    found = lambda: s3.list_multipart_uploads(Bucket=bucket, Prefix="u/", Delimiter="/")
    check("uploads by folder", lambda: (listed(Prefix="u/", Delimiter="/"), [p["Prefix"] for p in found()["CommonPrefixes"]]), (["u/a", "u/b"], ["u/c/"]))
    check("uploads in pages", lambda: [[u["Key"] for u in p["Uploads"]] for p in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix="u/", PaginationConfig={"PageSize": 3})], [["u/a", "u/b", "u/c/1"], ["u/c/2"]])

    again = begin("if")
    parts = [put("if", again, 1, last)]
    asked.put("if", b"stands")
    check("completing If-None-Match of * where something stands", complete("if", again, parts, IfNoneMatch="*"), "412 PreconditionFailed")
    check("completing If-Match of something else", complete("if", again, parts, IfMatch=etag(b"other")), "412 PreconditionFailed")
    check("what stands stays", lambda: asked.read("if"), b"stands")
    check("completing If-Match of what stands", lambda: (complete("if", again, parts, IfMatch=etag(b"stands")), asked.read("if")), ("200", last))
    again = begin("if new")
    check("completing If-None-Match of * where nothing stands", lambda: (complete("if new", again, [put("if new", again, 1, last)], IfNoneMatch="*"), asked.read("if new")), ("200", last))

    asked.put("source", first)
    copied = begin("copied")
    copy = lambda number, **named: s3.upload_part_copy(Bucket=bucket, Key="copied", UploadId=copied, PartNumber=number, CopySource={"Bucket": bucket, "Key": "source"}, **named)["CopyPartResult"]["ETag"]
    check("a part is copied", lambda: copy(1), etag(first))
    check("a part is copied of a range", lambda: copy(2, CopySourceRange="bytes=10-19"), etag(first[10:20]))
    check("a part on a condition that does not hold", asked.outcome(s3.upload_part_copy, Key="copied", UploadId=copied, PartNumber=3, CopySource={"Bucket": bucket, "Key": "source"}, CopySourceIfMatch=etag(b"")), "412 PreconditionFailed")
    check("a range beyond the source", asked.outcome(s3.upload_part_copy, Key="copied", UploadId=copied, PartNumber=3, CopySource={"Bucket": bucket, "Key": "source"}, CopySourceRange=f"bytes=0-{5 * MIB}"), OneOf("400 InvalidArgument", "416 InvalidRange"))
    check("copied parts are completed", lambda: (complete("copied", copied, [{"PartNumber": 1, "ETag": etag(first)}, {"PartNumber": 2, "ETag": etag(first[10:20])}]), asked.read("copied") == first + first[10:20]), ("200", True))

    sums = begin("sums", ChecksumAlgorithm="SHA256")
    parts = []
    for number, piece in enumerate((first, last), 1):
        answer = s3.upload_part(Bucket=bucket, Key="sums", UploadId=sums, PartNumber=number, Body=piece, ChecksumSHA256=checksum("SHA256", piece))
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": answer.get("ChecksumSHA256", checksum("SHA256", piece))})
    check("a part's checksum is answered", [p["ChecksumSHA256"] for p in parts], [checksum("SHA256", first), checksum("SHA256", last)])
    check("a part with a wrong checksum is refused", outcome(plain.upload_part, Bucket=bucket, Key="sums", UploadId=sums, PartNumber=3, Body=b"x", ChecksumSHA256=checksum("SHA256", b"y")), "400 BadDigest")
    check("completing with a wrong checksum of a part", complete("sums", sums, [parts[0], parts[1] | {"ChecksumSHA256": checksum("SHA256", b"y")}]), "400 InvalidPart")
    check("completing with checksums", complete("sums", sums, parts), "200")
    composite = base64_of(hashlib.sha256(hashlib.sha256(first).digest() + hashlib.sha256(last).digest()).digest())
    check("the checksum is that of the parts'", lambda: plain.head_object(Bucket=bucket, Key="sums", ChecksumMode="ENABLED").get("ChecksumSHA256"), f"{composite}-2")

    big = noise(20 * MIB, 5)
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    s3.upload_fileobj(io.BytesIO(big), bucket, "big", Config=config)
    back = io.BytesIO()
    s3.download_fileobj(bucket, "big", back, Config=config)
    check("boto3's own transfer of 20 MiB, up and down", back.getvalue() == big, True)
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "big copied", Config=config)
    check("boto3's own copy of 20 MiB", lambda: asked.read("big copied") == big, True)


def several(asked):
    """a thousand objects"""
    check, s3, bucket = asked.check, asked.s3, asked.bucket
    wanted = [f"many/{n:04}" for n in range(1003)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(asked.put, wanted))
    pages = [[o["Key"] for o in p["Contents"]] for p in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)]
    check("a page has a thousand", [len(p) for p in pages], [1000, 3])
    check("two pages have all of them", sum(pages, []), wanted)
    delete = lambda names, **named: s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": n} for n in names]} | named)
    check("more than a thousand are not deleted at once", outcome(delete, wanted), "400 MalformedXML")
    check("nothing of them was", lambda: len(keys(s3, bucket)), 1003)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(asked.put, wanted))
    answer = delete(wanted[:1000])
    check("a thousand are deleted at once", ([d["Key"] for d in answer.get("Deleted", [])] == wanted[:1000], answer.get("Errors")), (True, None))
    check("the others stay", lambda: keys(s3, bucket), wanted[1000:])
    answer = delete(["not there", "nor/this one", wanted[1000]])
    check("what is not there is deleted", (sorted(d["Key"] for d in answer.get("Deleted", [])), answer.get("Errors")), (sorted(["not there", "nor/this one", wanted[1000]]), None))
    answer = delete([wanted[1001], "not there"], Quiet=True)
    check("quietly", ([answer.get(n) for n in ("Deleted", "Errors")], keys(s3, bucket)), ([None, None], wanted[1002:]))
    odd = ["a b+c%20", "ü\n<&>", "a//b", "a"]
    for key in odd:
        asked.outcome(s3.put_object, Key=key, Body=b"x")
    check("several with odd names", lambda: (sorted(d["Key"] for d in delete(odd)["Deleted"]), keys(s3, bucket)), (sorted(odd), wanted[1002:]))
    check("several that is no XML", lambda: send(asked.place, "POST", f"/{bucket}", query={"delete": ""}, body=b"no XML", headers={"Content-MD5": base64_of(hashlib.md5(b"no XML").digest())}).outcome, "400 MalformedXML")


def presigned(asked):
    """presigned URLs"""
    check, s3, bucket = asked.check, asked.s3, asked.bucket

    def fetch(url, method="GET", data=None, headers=()):
        request = urllib.request.Request(url, data, dict(headers), method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return f"{answer.status}", answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            code = ElementTree.fromstring(error.read() or b"<Error/>").findtext("Code")
            return f"{error.code} {code}", b"", error.headers

    key = "some/a b+ü"
    asked.put(key, b"presigned")
    sign = lambda operation, client=None, expires=60, **named: (client or s3).generate_presigned_url(operation, Params={"Bucket": bucket, "Key": key} | named, ExpiresIn=expires)
    s3v4 = asked.place.client(signature_version="s3v4")
    check("a presigned GET", lambda: fetch(sign("get_object", s3v4))[:2], ("200", b"presigned"))
    check("a presigned GET says what it is asked to", lambda: fetch(sign("get_object", s3v4, ResponseContentType="text/x"))[2].get("Content-Type"), "text/x")
    check("a presigned HEAD", lambda: fetch(sign("head_object", s3v4), "HEAD")[0], "200")
    check("a presigned PUT", lambda: (fetch(sign("put_object", s3v4, Key="put"), "PUT", b"by URL", {"Content-Type": ""}.items())[0], asked.read("put")), ("200", b"by URL"))
    check("a presigned GET is no PUT", lambda: (fetch(sign("get_object", s3v4), "PUT", b"changed", {"Content-Type": ""}.items())[0], asked.read(key)), ("403 SignatureDoesNotMatch", b"presigned"))
    asked.put(key, b"presigned")
    check("a presigned GET of another key", lambda: fetch(sign("get_object", s3v4).replace("some/", "other/"))[0], "403 SignatureDoesNotMatch")
    check("a presigned GET for longer", lambda: fetch(sign("get_object", s3v4).replace("Expires=60", "Expires=61"))[0], "403 SignatureDoesNotMatch")
    stale = sign("get_object", s3v4, expires=1)
    time.sleep(2.1)
    check("a presigned GET that is over", lambda: fetch(stale)[0], "403 AccessDenied")
    check("a presigned DELETE", lambda: (fetch(sign("delete_object", s3v4), "DELETE")[0], asked.read(key)), ("204", "404 NoSuchKey"))


def signatures(asked):
    """who may ask"""
    check, place, bucket = asked.check, asked.place, asked.bucket
    asked.put("k")
    day = timedelta(days=1)
    now = datetime.now(timezone.utc)
    wrong = {
        "a wrong secret": (lambda *a, **n: send(replace(place, secret="wrong"), *a, **n), "403 SignatureDoesNotMatch"),
        "an unknown key": (lambda *a, **n: send(replace(place, key="AKIAUNKNOWN"), *a, **n), "403 InvalidAccessKeyId"),
        "an unknown key with an empty secret": (lambda *a, **n: send(replace(place, key="AKIAUNKNOWN", secret=""), *a, **n), "403 InvalidAccessKeyId"),
        "no signature": (lambda *a, **n: send(place, *a, signed=False, **n), "403 AccessDenied"),
        "a clock a day behind": (lambda *a, **n: send(place, *a, at=now - day, **n), "403 RequestTimeTooSkewed"),
        "a clock a day ahead": (lambda *a, **n: send(place, *a, at=now + day, **n), "403 RequestTimeTooSkewed"),
        "a signature of something else": (lambda *a, **n: send(place, *a, unsigned_headers={"x-amz-date": now.strftime("%Y%m%dT000000Z")}, **n), OneOf("403 SignatureDoesNotMatch", "403 RequestTimeTooSkewed")),
    }
    for what, (ask, expected) in wrong.items():
        asked.put("k")
        check(f"{what}: GET", lambda: ask("GET", asked.path("k")).outcome, expected)
        check(f"{what}: a listing", lambda: ask("GET", f"/{bucket}", query={"list-type": "2"}).outcome, expected)
        check(f"{what}: PUT", lambda: (ask("PUT", asked.path("k"), body=b"changed").outcome, asked.read("k")), (expected, b"bytes"))
        asked.put("k")
        check(f"{what}: DELETE", lambda: (ask("DELETE", asked.path("k")).outcome, asked.read("k")), (expected, b"bytes"))
    asked.put("k")
    check("a clock five minutes behind", lambda: send(place, "GET", asked.path("k"), at=now - timedelta(minutes=5)).outcome, "200")
    check("no signature, by boto3", outcome(place.client(signature_version=UNSIGNED).get_object, Bucket=bucket, Key="k"), "403 AccessDenied")
    check("a wrong secret, by boto3", outcome(replace(place, secret="wrong").client().get_object, Bucket=bucket, Key="k"), "403 SignatureDoesNotMatch")
    check("an unknown key, by boto3", outcome(replace(place, key="AKIAUNKNOWN").client().get_object, Bucket=bucket, Key="k"), "403 InvalidAccessKeyId")
    asked.put("k")
    old = {"Date": now.strftime("%a, %d %b %Y %H:%M:%S GMT"), "Authorization": f"AWS {place.key}:AAAAAAAAAAAAAAAAAAAAAAAAAAA="}
    check("an invented signature of version 2", lambda: (send(place, "PUT", asked.path("k"), body=b"changed", signed=False, unsigned_headers=old).status in (400, 403), asked.read("k")), (True, b"bytes"))
    asked.put("k")
    check("a header of x-amz that was added", lambda: (send(place, "PUT", asked.path("k"), body=b"changed", unsigned_headers={"x-amz-meta-added": "x"}).status, asked.read("k")), (403, b"bytes"))
    check("a parameter that was added", lambda: added(place, bucket).outcome, "403 SignatureDoesNotMatch")
    check("an error says what is wrong", lambda: (lambda e: all(e.findtext(n) for n in ("Code", "Message")))(ElementTree.fromstring(send(place, "GET", asked.path("no")).body)), True)


def added(place, bucket):
    """A listing whose signature does not cover one of its parameters."""
    signer, host = Signer(place), urlsplit(place.endpoint).netloc
    headers = {"Host": host, "x-amz-date": signer.stamp, "x-amz-content-sha256": NO_BODY}
    headers["Authorization"] = signer.authorization("GET", f"/{bucket}", "list-type=2", headers, NO_BODY)[1]
    return send(place, "GET", f"/{bucket}", query={"list-type": "2", "prefix": "x"}, signed=False, headers=headers)


def at_once(asked):
    """many at once"""
    check, s3, bucket, place = asked.check, asked.s3, asked.bucket, asked.place
    clients = [place.client() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        def race(call):
            """How many won, and that all others were told so."""
            found = list(pool.map(call, range(8)))
            return found.count("200"), sorted({f for f in found if f != "200"} - {"409 ConditionalRequestConflict"})

        for turn in range(10):
            key = f"first/{turn}"
            first = lambda n: outcome(clients[n].put_object, Bucket=bucket, Key=key, Body=noise(20_000, n), IfNoneMatch="*")
            check(f"If-None-Match of * by eight at once: one wins ({turn})", lambda: race(first), (1, ["412 PreconditionFailed"]))
        standing = asked.put("next")["ETag"]
        for turn in range(10):
            following = lambda n: outcome(clients[n].put_object, Bucket=bucket, Key="next", Body=noise(20_000, 100 * turn + n), IfMatch=standing)
            check(f"If-Match by eight at once: one wins ({turn})", lambda: race(following), (1, ["412 PreconditionFailed"]))
            standing = s3.head_object(Bucket=bucket, Key="next")["ETag"]

        def write_and_read(n):
            """What was read otherwise than it was written just before."""
            wrong = []
            for turn in range(12):
                key, data = f"own/{n}/{turn % 3}", noise(3_000, 1000 * n + turn)
                clients[n].put_object(Bucket=bucket, Key=key, Body=data)
                other = clients[(n + 1) % 8]
                listed = {o["Key"]: o["ETag"] for o in other.list_objects_v2(Bucket=bucket, Prefix=f"own/{n}/")["Contents"]}
                if body(other, bucket, key) != data or listed.get(key) != etag(data) or other.head_object(Bucket=bucket, Key=key)["ETag"] != etag(data):
                    wrong.append((key, turn))
                if turn % 4 == 3:
                    clients[n].delete_object(Bucket=bucket, Key=key)
                    if outcome(other.head_object, Bucket=bucket, Key=key) != "404" or key in keys(other, bucket, Prefix=key):
                        wrong.append((key, turn, "deleted"))
            return wrong

        check("what was written is read, listed and, deleted, gone", lambda: sum(pool.map(write_and_read, range(8)), []), [])

        def torn(n):
            """What was read as nobody wrote it."""
            wrong = []
            for turn in range(15):
                if n < 3:
                    clients[n].put_object(Bucket=bucket, Key="shared", Body=noise(200_000 + 50_000 * n, n), Metadata={"by": str(n)})
                else:
                    got = clients[n].get_object(Bucket=bucket, Key="shared")
                    data, by = got["Body"].read(), int(got["Metadata"]["by"])
                    if data != noise(200_000 + 50_000 * by, by) or got["ETag"] != etag(data):
                        wrong.append((n, turn))
            return wrong

        clients[0].put_object(Bucket=bucket, Key="shared", Body=noise(200_000, 0), Metadata={"by": "0"})
        check("bytes, ETag and metadata are of one write", lambda: sum(pool.map(torn, range(8)), []), [])


def not_there(asked):
    """what is not there is said, and does no harm"""
    check, s3, bucket = asked.check, asked.s3, asked.bucket
    check("versioning is off", lambda: s3.get_bucket_versioning(Bucket=bucket).get("Status"), None)
    on = {"VersioningConfiguration": {"Status": "Enabled"}}
    check("versioning cannot be put on", asked.outcome(s3.put_bucket_versioning, **on), "501 NotImplemented")
    check("and it is said why", lambda: len(message(s3.put_bucket_versioning, Bucket=bucket, **on) or "") > 20, True)
    tags = {"TagSet": [{"Key": "team", "Value": "blue"}]}

    def tagging():
        """Whether tags are kept, or refused with a message."""
        found = asked.outcome(s3.put_object_tagging, Key="k", Tagging=tags)
        if found == "200":
            return s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags["TagSet"]
        return found == "501 NotImplemented" and len(message(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=tags)) > 20

    asked.put("k")
    check("tags are kept or refused with a message", tagging, True)
    for what, call, named in [
        ("PUT of tags", s3.put_object_tagging, {"Key": "k", "Tagging": tags}),
        ("DELETE of tags", s3.delete_object_tagging, {"Key": "k"}),
        ("PUT of an ACL", s3.put_object_acl, {"Key": "k", "ACL": "private"}),
        ("PUT of a retention", s3.put_object_retention, {"Key": "k", "Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": datetime(2030, 1, 1)}}),
        ("PUT of a legal hold", s3.put_object_legal_hold, {"Key": "k", "LegalHold": {"Status": "ON"}}),
        ("PUT of a bucket's ACL", s3.put_bucket_acl, {"ACL": "private"}),
        ("PUT of CORS", s3.put_bucket_cors, {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}}),
        ("DELETE of CORS", s3.delete_bucket_cors, {}),
        ("DELETE of a bucket's policy", s3.delete_bucket_policy, {}),
        ("DELETE of a bucket's lifecycle", s3.delete_bucket_lifecycle, {}),
        ("DELETE of a bucket's tags", s3.delete_bucket_tagging, {}),
        ("GET of a version", s3.get_object, {"Key": "k", "VersionId": "3HL4kqtJvjVBH40Nrjfkd"}),
        ("DELETE of a version", s3.delete_object, {"Key": "k", "VersionId": "3HL4kqtJvjVBH40Nrjfkd"}),
    ]:
        asked.put("k")
        found = asked.outcome(call, **named)
        check(f"{what} leaves bucket and object", lambda: (asked.read("k"), outcome(s3.head_bucket, Bucket=bucket)), (b"bytes", "200"))
        check(f"{what} is an answer and no fault", found.startswith("2") or found.startswith("4") or found == "501 NotImplemented", True)


def empty(s3, bucket):
    """Removes a bucket and all that is in it."""
    # whether that works is checked elsewhere; here it only tidies up
    for step in (give_up_uploads, delete_objects, lambda s3, bucket: s3.delete_bucket(Bucket=bucket)):
        try:
            step(s3, bucket)
        except Exception as error:
            print(f"        {bucket} stays: {str(error)[:150]}")


def give_up_uploads(s3, bucket):
    for upload in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def delete_objects(s3, bucket):
    for key in keys(s3, bucket):
        s3.delete_object(Bucket=bucket, Key=key)


AREAS = [buckets, missing, objects, checksums, streams, ranges, conditions, names, listing, listing_v1, copies, parts, several, presigned, signatures, at_once, not_there]


def run(verdicts, place):
    for area in AREAS:
        verdicts.run(in_a_bucket, area, verdicts, place, title=area.__doc__, name=area.__name__)


def in_a_bucket(area, verdicts, place):
    asked = Asked(verdicts, place, area.__name__)
    try:
        area(asked)
    finally:
        empty(asked.s3, asked.bucket)
