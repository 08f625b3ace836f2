"""Requests whose every byte is ours: what a client would mend (dots in paths, a foreign Host, a wrong date) arrives as it is."""

import base64
import hashlib
import hmac
import http.client
import zlib
from datetime import datetime, timezone
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

NO_BODY = hashlib.sha256(b"").hexdigest()


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.body = status, body
        self.headers = {name.lower(): value for name, value in headers}

    @property
    def outcome(self):
        """"200", or "403 AccessDenied"."""
        if self.status < 300:
            return str(self.status)
        try:
            code = ElementTree.fromstring(self.body).findtext("Code")
        except ElementTree.ParseError:
            code = None
        return f"{self.status} {code}" if code else str(self.status)

    @property
    def cors(self):
        return sorted(name for name in self.headers if name.startswith("access-control-"))


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Signer:
    """AWS Signature Version 4 for one moment."""

    def __init__(self, place, at=None, service="s3"):
        self.place = place
        self.stamp = (at or datetime.now(timezone.utc)).strftime("%Y%m%dT%H%M%SZ")
        self.scope = f"{self.stamp[:8]}/{place.region}/{service}/aws4_request"
        key = ("AWS4" + place.secret).encode()
        for part in self.scope.split("/"):
            key = sign(key, part)
        self.key = key

    def signature(self, kind, *lines):
        return sign(self.key, "\n".join([kind, self.stamp, self.scope, *lines])).hex()

    def of_request(self, method, path, query, headers, payload):
        """Signature of a request, and the names of the headers that it covers."""
        names = sorted(headers, key=str.lower)
        signed = ";".join(name.lower() for name in names)
        lines = [f"{name.lower()}:{' '.join(headers[name].split())}" for name in names]
        request = "\n".join([method, path, query, *lines, "", signed, payload])
        return self.signature("AWS4-HMAC-SHA256", hashlib.sha256(request.encode()).hexdigest()), signed

    def authorization(self, method, path, query, headers, payload):
        signature, signed = self.of_request(method, path, query, headers, payload)
        credential = f"{self.place.key}/{self.scope}"
        return signature, f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"


def target(path, query):
    encoded = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
    return quote(path, safe="/-_.~"), encoded


def send(place, method, path, query=None, headers=None, body=b"", signed=True, unsigned_headers=None, at=None, payload=None, chunks=None):
    """Sends a request. `headers` are signed, `unsigned_headers` are not; `payload` is what x-amz-content-sha256 says;
    `chunks` makes the body from the signer and the signature of the request."""
    where = urlsplit(place.endpoint)
    path, query = target(path, query or {})
    headers = {"Host": where.netloc} | (headers or {})
    if signed:
        signer = Signer(place, at)
        payload = payload or hashlib.sha256(body).hexdigest()
        headers |= {"x-amz-date": signer.stamp, "x-amz-content-sha256": payload}
        signature, headers["Authorization"] = signer.authorization(method, path, query, headers, payload)
        if chunks:
            body = chunks(signer, signature)
    headers |= unsigned_headers or {}
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)
    try:
        connection.putrequest(method, f"{path}?{query}" if query else path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, answer.getheaders(), answer.read())
    finally:
        connection.close()


def streamed(place, path, pieces, kind, headers=None, trailer=None, spoil=False):
    """Puts an object as `aws-chunked`. `kind` is the payload that the header names, `trailer` a header that follows the last chunk;
    `spoil` changes a byte after the signatures were made."""
    by_signature = kind.startswith("STREAMING-AWS4")
    headers = {"Content-Encoding": "aws-chunked", "x-amz-decoded-content-length": str(sum(map(len, pieces)))} | (headers or {})
    if trailer:
        headers["x-amz-trailer"] = trailer[0]

    def chunks(signer, signature):
        body = b""
        for piece in [*pieces, b""]:
            head = f"{len(piece):x}"
            if by_signature:
                signature = signer.signature("AWS4-HMAC-SHA256-PAYLOAD", signature, NO_BODY, hashlib.sha256(piece).hexdigest())
                head += f";chunk-signature={signature}"
            if spoil and piece:
                piece = bytes([piece[0] ^ 1]) + piece[1:]
            # the last chunk is followed by the trailer, if there is one
            body += head.encode() + b"\r\n" + (piece + b"\r\n" if piece or not trailer else b"")
        if trailer:
            line = f"{trailer[0]}:{trailer[1]}"
            body += line.encode() + b"\r\n"
            if by_signature:
                signature = signer.signature("AWS4-HMAC-SHA256-TRAILER", signature, hashlib.sha256(line.encode() + b"\n").hexdigest())
                body += f"x-amz-trailer-signature:{signature}\r\n".encode()
            body += b"\r\n"
        return body

    return send(place, "PUT", path, headers=headers, payload=kind, chunks=chunks)


def base64_of(value):
    return base64.b64encode(value).decode()


def reflected_crc(data, polynomial, bits):
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (polynomial if byte & 1 else 0)
        table.append(byte)
    ones = (1 << bits) - 1
    value = ones
    for byte in data:
        value = value >> 8 ^ table[(value ^ byte) & 255]
    return (value ^ ones).to_bytes(bits // 8, "big")


# what S3 names each checksum, and how it is made
CHECKSUMS = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: reflected_crc(data, 0x82F63B78, 32),
    "CRC64NVME": lambda data: reflected_crc(data, 0x9A6C9329AC4BC9B5, 64),
    "SHA1": lambda data: hashlib.sha1(data).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
}
assert CHECKSUMS["CRC32C"](b"123456789").hex() == "e3069283"
assert CHECKSUMS["CRC64NVME"](b"123456789").hex() == "ae8b14860a799888"


def checksum(name, data):
    return base64_of(CHECKSUMS[name](data))
