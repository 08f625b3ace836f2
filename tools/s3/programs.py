"""s3cmd, rclone and the AWS CLI, as people use them."""

import json
import os
import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from api import empty
from checks import body, etag, keys, noise

BIG = 20 << 20
FILES = {
    "a.csv": b"a,b\n1,2\n", "folder/b c.json": b"{}", "folder/deep/er/d+e%20f.txt": b"plus and percent", "folder/\u00fc/\u65e5\u672c.txt": b"unicode",
    "empty": b"", "folder/zeros.bin": bytes(100_000),
}


def made(folder, big=True):
    """A folder with files of all kinds."""
    files = FILES | ({"folder/big.bin": noise(BIG, 7)} if big else {})
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return files


def read(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def reason(text):
    """The lines that say why, or the last ones."""
    lines = [line for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("Problem:", "ERROR:", "fatal error:", "An error occurred", "upload failed:", "download failed:", "delete failed:")) or '"level":"error"' in line or "ERROR" in line]
    return " | ".join(telling[:3] or lines[-3:])[:500]


class Program:
    def __init__(self, verdicts, place, work, tools, name):
        self.check, self.place, self.work, self.tools = verdicts.check, place, work / name, tools
        self.work.mkdir()
        self.s3, self.bucket = place.client(), f"{name}-{uuid.uuid4().hex[:8]}"
        self.environment = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "RCLONE_", "S3CMD"))}
        self.environment |= {"HOME": str(self.work), "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore"}

    def run(self, *command):
        """What it prints; its error, if it fails."""
        done = subprocess.run(list(map(str, command)), env=self.environment, cwd=self.work, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command[:6]))} ends with {done.returncode}: {reason(done.stdout + done.stderr)}")
        return done.stdout + done.stderr

    def ends(self, what, *command):
        """Runs it as a check of its own; what it prints, or nothing."""
        printed = []
        self.check(what, lambda: printed.append(self.run(*command)), None)
        return printed[0] if printed else ""

    def same(self, what, files):
        self.check(what, lambda: sorted(keys(self.s3, self.bucket)), sorted(files))
        self.check(f"{what}, with their bytes", lambda: [n for n in files if body(self.s3, self.bucket, n) != files[n]], [])


def s3cmd(verdicts, place, work, tools):
    """s3cmd"""
    program = Program(verdicts, place, work, tools, "s3cmd")
    check, bucket, where = program.check, program.bucket, urlsplit(place.endpoint).netloc
    settings = program.work / "s3cfg"
    settings.write_text(
        f"[default]\naccess_key = {place.key}\nsecret_key = {place.secret}\nhost_base = {where}\nhost_bucket = {where}\nbucket_location = {place.region}\n"
        "use_https = False\nsignature_v2 = False\nmultipart_chunk_size_mb = 5\nprogress_meter = False\n")
    command = lambda *args: (tools / "s3cmd", "--config", settings, *args)
    ends = lambda what, *args: program.ends(f"s3cmd: {what}", *command(*args))
    folder = program.work / "folder"
    files = made(folder)
    ends("mb", "mb", f"s3://{bucket}")
    check("s3cmd: mb made the bucket", lambda: bucket in [b["Name"] for b in program.s3.list_buckets()["Buckets"]], True)
    check("s3cmd: ls names it", lambda: f"s3://{bucket}" in program.run(*command("ls")), True)
    uploads = lambda text: sum(line.startswith("upload:") for line in text.splitlines())
    first = ends("sync up", "sync", f"{folder}/", f"s3://{bucket}/up/")
    check("s3cmd: sync uploads all files", lambda: len({line.split("'")[1] for line in first.splitlines() if line.startswith("upload:")}), len(files))
    program.same("s3cmd: what it uploaded is there", {f"up/{n}": d for n, d in files.items()})
    check("s3cmd: a second sync uploads nothing", lambda: uploads(program.run(*command("sync", f"{folder}/", f"s3://{bucket}/up/"))), 0)
    (folder / "a.csv").write_bytes(b"a,b\n3,4\n")
    check("s3cmd: sync uploads what changed", lambda: uploads(program.run(*command("sync", f"{folder}/", f"s3://{bucket}/up/"))), 1)
    listed = ends("ls --recursive", "ls", "--recursive", f"s3://{bucket}")
    check("s3cmd: ls names all keys with their sizes", sorted((line.split(maxsplit=3)[2:]) for line in listed.splitlines()), sorted([str(len(d)), f"s3://{bucket}/up/{n}"] for n, d in files.items()))
    check("s3cmd: ls of a folder", lambda: sorted(line.split()[-1].rsplit("/up/", 1)[1] for line in program.run(*command("ls", f"s3://{bucket}/up/")).splitlines()), ["a.csv", "empty", "folder/"])
    ends("get", "get", f"s3://{bucket}/up/folder/b c.json", program.work / "got.json")
    check("s3cmd: get wrote the bytes", lambda: (program.work / "got.json").read_bytes(), b"{}")
    check("s3cmd: info names the MD5", lambda: etag(b"{}").strip('"') in program.run(*command("info", f"s3://{bucket}/up/folder/b c.json")), True)
    down = program.work / "down"
    down.mkdir()
    ends("sync down", "sync", f"s3://{bucket}/up/", f"{down}/")
    check("s3cmd: sync down wrote all files", lambda: read(down) == read(folder), True)
    check("s3cmd: a second sync down loads nothing", lambda: "download:" in program.run(*command("sync", f"s3://{bucket}/up/", f"{down}/")), False)
    ends("cp", "cp", f"s3://{bucket}/up/folder/b c.json", f"s3://{bucket}/copy/b c.json")
    check("s3cmd: cp made the copy", lambda: body(program.s3, bucket, "copy/b c.json"), b"{}")
    ends("del", "del", f"s3://{bucket}/copy/b c.json")
    check("s3cmd: del deleted it", lambda: keys(program.s3, bucket, Prefix="copy/"), [])
    (folder / "empty").unlink()
    ends("sync --delete-removed", "sync", "--delete-removed", f"{folder}/", f"s3://{bucket}/up/")
    check("s3cmd: sync deleted what was removed", lambda: keys(program.s3, bucket, Prefix="up/empty"), [])
    ends("del --recursive", "del", "--recursive", "--force", f"s3://{bucket}/up/")
    check("s3cmd: del --recursive left nothing", lambda: keys(program.s3, bucket), [])
    ends("rb", "rb", f"s3://{bucket}")
    check("s3cmd: rb removed the bucket", lambda: bucket in [b["Name"] for b in program.s3.list_buckets()["Buckets"]], False)


def rclone(verdicts, place, work, tools):
    """rclone"""
    program = Program(verdicts, place, work, tools, "rclone")
    check, bucket = program.check, program.bucket
    (program.work / "rclone.conf").touch()
    program.environment |= {"RCLONE_CONFIG": str(program.work / "rclone.conf"), "RCLONE_RETRIES": "1", "RCLONE_LOW_LEVEL_RETRIES": "1", "RCLONE_CONTIMEOUT": "5s"}
    # by itself it lists a store that it does not know by version 1
    for name, version in (("first", "0"), ("second", "2")):
        settings = {"TYPE": "s3", "PROVIDER": "Other", "LIST_VERSION": version, "ACCESS_KEY_ID": place.key, "SECRET_ACCESS_KEY": place.secret, "REGION": place.region,
                    "ENDPOINT": place.endpoint, "FORCE_PATH_STYLE": "true", "UPLOAD_CUTOFF": "5Mi", "CHUNK_SIZE": "5Mi"}
        program.environment |= {f"RCLONE_CONFIG_{name.upper()}_{setting}": value for setting, value in settings.items()}
    folder = program.work / "folder"
    files = made(folder)

    def transfers(*args):
        """How many files it says that it transferred."""
        lines = program.run("rclone", *args, "--use-json-log", "-v", "--stats", "1h").splitlines()
        said = [json.loads(line) for line in lines if line.startswith("{")]
        return [line["stats"]["transfers"] for line in said if "stats" in line][-1]

    program.s3.create_bucket(Bucket=bucket)
    for remote in ("first", "second"):
        title, there = f"rclone ({remote} way of listing)", f"{remote}:{bucket}/{remote}"
        check(f"{title}: sync up transfers all files", lambda: transfers("sync", folder, there), len(files))
        check(f"{title}: a second sync transfers nothing", lambda: transfers("sync", folder, there), 0)
        lsl = program.ends(f"{title}: lsl", "rclone", "lsl", there)
        check(f"{title}: lsl names all files with their sizes", sorted((line.split(maxsplit=3)[0], line.split(maxsplit=3)[3]) for line in lsl.splitlines()), sorted((str(len(d)), n) for n, d in files.items()))
        check(f"{title}: lsf of a folder", lambda: sorted(program.run("rclone", "lsf", there).splitlines()), ["a.csv", "empty", "folder/"])
        program.ends(f"{title}: check", "rclone", "check", folder, there)
        program.ends(f"{title}: check with all bytes", "rclone", "check", "--download", folder, there)
        check(f"{title}: cat", lambda: program.run("rclone", "cat", f"{there}/folder/b c.json"), "{}")
        down = program.work / f"down-{remote}"
        check(f"{title}: sync down transfers all files", lambda: transfers("sync", there, down), len(files))
        check(f"{title}: sync down wrote all files", lambda: read(down) == read(folder), True)
        check(f"{title}: a second sync down transfers nothing", lambda: transfers("sync", there, down), 0)
        (down / "empty").unlink()
        (down / "a.csv").write_bytes(b"changed here")
        check(f"{title}: sync transfers what changed", lambda: transfers("sync", down, there), 1)
        check(f"{title}: sync deleted what was removed", lambda: "empty" in program.run("rclone", "lsf", there), False)
        program.ends(f"{title}: copy in the cloud", "rclone", "copy", there, f"{remote}:{bucket}/copy-{remote}")
        program.ends(f"{title}: the copy is checked", "rclone", "check", there, f"{remote}:{bucket}/copy-{remote}")
        program.ends(f"{title}: purge", "rclone", "purge", there)
        check(f"{title}: purge left nothing", lambda: keys(program.s3, bucket, Prefix=f"{remote}/"), [])
    empty(program.s3, bucket)


def aws(verdicts, place, work, tools):
    """the AWS CLI"""
    program = Program(verdicts, place, work, tools, "aws")
    check, bucket = program.check, program.bucket
    program.environment |= {
        "AWS_ACCESS_KEY_ID": place.key, "AWS_SECRET_ACCESS_KEY": place.secret, "AWS_REGION": place.region, "AWS_DEFAULT_REGION": place.region,
        "AWS_ENDPOINT_URL_S3": place.endpoint, "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": ""}
    cli = tools / "aws"
    ends = lambda what, *args: program.ends(f"aws: {what}", cli, *args)
    folder = program.work / "folder"
    files = made(folder)
    ends("s3 mb", "s3", "mb", f"s3://{bucket}")
    lines = lambda *args: [line for line in program.run(cli, *args).splitlines() if line.strip()]
    check("aws: s3 sync up uploads all files", lambda: len(lines("s3", "sync", "--no-progress", folder, f"s3://{bucket}/up")), len(files))
    program.same("aws: what it uploaded is there", {f"up/{n}": d for n, d in files.items()})
    check("aws: a second sync uploads nothing", lambda: lines("s3", "sync", "--no-progress", folder, f"s3://{bucket}/up"), [])
    listed = ends("s3 ls --recursive", "s3", "ls", "--recursive", f"s3://{bucket}/")
    check("aws: s3 ls names all keys with their sizes", sorted(line.split(maxsplit=3)[2:] for line in listed.splitlines()), sorted([str(len(d)), f"up/{n}"] for n, d in files.items()))
    check("aws: s3 ls of a folder", lambda: sorted(line.split()[-1] for line in lines("s3", "ls", f"s3://{bucket}/up/")), ["a.csv", "empty", "folder/"])
    down = program.work / "down"
    check("aws: s3 sync down loads all files", lambda: len(lines("s3", "sync", "--no-progress", f"s3://{bucket}/up", down)), len(files))
    check("aws: s3 sync down wrote all files", lambda: read(down) == read(folder), True)
    check("aws: a second sync down loads nothing", lambda: lines("s3", "sync", "--no-progress", f"s3://{bucket}/up", down), [])
    ends("s3 cp of 20 MB", "s3", "cp", "--no-progress", folder / "folder/big.bin", f"s3://{bucket}/big")
    head = json.loads(ends("s3api head-object", "s3api", "head-object", "--bucket", bucket, "--key", "big", "--output", "json") or "{}")
    check("aws: it went up in parts", (head.get("ContentLength"), head.get("ETag", "").endswith('-3"')), (BIG, True))
    ends("s3 cp of 20 MB back", "s3", "cp", "--no-progress", f"s3://{bucket}/big", program.work / "big")
    check("aws: it came back as it was", lambda: (program.work / "big").read_bytes() == files["folder/big.bin"], True)
    ends("s3 cp in the cloud", "s3", "cp", "--no-progress", f"s3://{bucket}/big", f"s3://{bucket}/copy of big")
    check("aws: the copy has the bytes", lambda: body(program.s3, bucket, "copy of big") == files["folder/big.bin"], True)
    check("aws: s3 mv", lambda: (program.run(cli, "s3", "mv", f"s3://{bucket}/copy of big", f"s3://{bucket}/moved"), keys(program.s3, bucket, Prefix="copy"), keys(program.s3, bucket, Prefix="moved"))[1:], ([], ["moved"]))
    check("aws: s3 cp from standard input to standard output", lambda: (subprocess.run([cli, "s3", "cp", "-", f"s3://{bucket}/piped"], input=b"piped", env=program.environment, check=True, capture_output=True), program.run(cli, "s3", "cp", f"s3://{bucket}/piped", "-"))[1], "piped")
    (folder / "empty").unlink()
    check("aws: s3 sync --delete", lambda: (lines("s3", "sync", "--no-progress", "--delete", folder, f"s3://{bucket}/up"), keys(program.s3, bucket, Prefix="up/empty")), ([f"delete: s3://{bucket}/up/empty"], []))
    ends("s3 rm --recursive", "s3", "rm", "--recursive", f"s3://{bucket}/up")
    check("aws: s3 rm left nothing of it", lambda: keys(program.s3, bucket, Prefix="up/"), [])
    ends("s3 rb --force", "s3", "rb", "--force", f"s3://{bucket}")
    check("aws: s3 rb removed the bucket", lambda: bucket in [b["Name"] for b in program.s3.list_buckets()["Buckets"]], False)


def run(verdicts, place, work, tools):
    for program in (s3cmd, rclone, aws):
        verdicts.run(program, verdicts, place, Path(work), Path(tools).resolve())
