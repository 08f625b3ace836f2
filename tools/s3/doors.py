"""What monthend refuses although S3 would take it: anything that a page in a browser could send."""

import hashlib
import hmac
import json
import uuid
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit

from api import Asked, empty
from checks import OneOf
from signed import Signer, base64_of, send


def doors(verdicts, place):
    """pages in a browser, other hosts, forms"""
    asked = Asked(verdicts, place, "doors")
    check, bucket = asked.check, asked.bucket
    port = urlsplit(place.endpoint).port
    asked.put("k")
    seen = []

    def ask(method, *args, **named):
        answer = send(place, method, *args, **named)
        seen.append((method, answer))
        return answer

    def untouched(*args, **named):
        """The status, and what the object is then."""
        asked.put("k")
        return ask(*args, **named).status, asked.read("k")

    origins = ["http://example.com", "https://example.com", "null", "http://127.0.0.1", f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
    for origin in origins:
        headers = {"Origin": origin}
        for way, more in (("signed", {"headers": headers}), ("beside the signature", {"unsigned_headers": headers}), ("without a signature", {"unsigned_headers": headers, "signed": False})):
            check(f"Origin {origin}, {way}: GET is refused", lambda: untouched("GET", asked.path("k"), **more), (403, b"bytes"))
            check(f"Origin {origin}, {way}: PUT is refused and changes nothing", lambda: untouched("PUT", asked.path("k"), body=b"changed", **more), (403, b"bytes"))
            check(f"Origin {origin}, {way}: DELETE is refused and changes nothing", lambda: untouched("DELETE", asked.path("k"), **more), (403, b"bytes"))
        preflight = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,x-amz-date"}
        check(f"Origin {origin}: a preflight is refused", lambda: ask("OPTIONS", asked.path("k"), signed=False, unsigned_headers=preflight).status, 403)
    asked.put("k")
    url = urlsplit(place.client(signature_version="s3v4").generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}))
    query = dict(pair.split("=", 1) for pair in url.query.replace("%2F", "/").replace("%3B", ";").split("&"))
    presigned = lambda **named: ask("GET", url.path, query=query, signed=False, **named)
    check("a presigned URL without Origin", lambda: presigned().status, 200)
    check("a presigned URL with an Origin is refused", lambda: presigned(unsigned_headers={"Origin": "http://example.com"}).status, 403)

    for host in ("example.com", f"example.com:{port}", f"127.0.0.1.example.com:{port}", f"localhost.example.com:{port}", f"192.0.2.1:{port}", f"{bucket}.s3.amazonaws.com", ""):
        check(f"Host {host!r} is refused", lambda: untouched("GET", asked.path("k"), headers={"Host": host}), OneOf((403, b"bytes"), (400, b"bytes")))
        check(f"Host {host!r}: PUT is refused and changes nothing", lambda: untouched("PUT", asked.path("k"), headers={"Host": host}, body=b"changed"), OneOf((403, b"bytes"), (400, b"bytes")))
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        check(f"Host {host}", lambda: ask("GET", asked.path("k"), headers={"Host": host}).outcome, "200")

    # a form with a valid policy, signed as S3 wants it
    signer = Signer(place)
    until = (datetime.now(timezone.utc) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = {"key": "form", "x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-credential": f"{place.key}/{signer.scope}", "x-amz-date": signer.stamp}
    policy = {"expiration": until, "conditions": [{"bucket": bucket}, *({name: value} for name, value in fields.items())]}
    fields["policy"] = base64_of(json.dumps(policy).encode())
    fields["x-amz-signature"] = hmac.new(signer.key, fields["policy"].encode(), hashlib.sha256).hexdigest()
    boundary = uuid.uuid4().hex
    form = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    form += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: text/plain\r\n\r\nby a form\r\n--{boundary}--\r\n'
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    for way, named in (("", {}), (" with an Origin", {"Origin": "http://example.com"})):
        check(f"a form with a valid policy is refused{way}", lambda: (ask("POST", f"/{bucket}", body=form.encode(), signed=False, unsigned_headers=kind | named).status in (400, 403, 405, 501), asked.read("form")), (True, "404 NoSuchKey"))
    asked.put("k")
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        check(f"a simple POST of {kind} is refused", lambda: ask("POST", f"/{bucket}", query={"delete": ""}, body=b"<Delete><Object><Key>k</Key></Object></Delete>", signed=False, unsigned_headers={"Content-Type": kind}).status, 403)
    check("it deleted nothing", lambda: asked.read("k"), b"bytes")
    check("no answer had a header of CORS", [(method, answer.status, answer.cors) for method, answer in seen if answer.cors], [])
    empty(asked.s3, bucket)
