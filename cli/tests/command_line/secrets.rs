//! No secret is printed, logged or kept: each is planted, what can go wrong goes wrong, and what comes of it is looked through.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::bill::file;
use super::{Answer, Desk, answer};

/// Stands in every secret, and nowhere else.
const PLANTED: &str = "planted";

/// A secret with characters that have a meaning somewhere.
fn planted(name: &str) -> String {
    format!(r#"{PLANTED}-{name}/$a #b"c\d+="#)
}

/// How a server answers what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// Not at all.
    Absent,
    /// With a status and an error document that repeats the secrets that came; tokens are given, or refused likewise.
    Repeats(u16, Tokens),
    /// With this, and 200.
    Says(&'static str),
    /// With less than it announces.
    BreaksOff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tokens {
    Given,
    Refused,
}

/// A peer on this machine.
struct Peer {
    url: String,
    /// Whether a secret came.
    was_told: Arc<AtomicBool>,
}

impl Peer {
    fn start(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let was_told = Arc::new(AtomicBool::new(false));
        let told = was_told.clone();
        if server != Server::Absent {
            // it ends with the test
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let _ = serve(stream, server, &told);
                }
            });
        }
        Self { url, was_told }
    }
}

fn serve(mut stream: TcpStream, server: Server, told: &AtomicBool) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut headers, mut length) = (String::new(), Vec::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.trim().split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let came = secrets_of(&path, &headers, &String::from_utf8_lossy(&body));
    if !came.is_empty() {
        told.store(true, Ordering::Relaxed);
    }
    let asks_for_token = path.ends_with("/token") || path.ends_with("/authenticate/");
    let (status, body, announced) = match server {
        Server::Absent => return Ok(()),
        Server::Repeats(_, Tokens::Given) if asks_for_token => {
            let token = json!({"access_token": planted("token").replace(' ', ""), "expires_in": 3600});
            (200, token.to_string(), None)
        }
        Server::Repeats(status, _) => (status, error_document(&path, status, &came), None),
        Server::Says(text) => (200, text.to_owned(), None),
        Server::BreaksOff => (200, "{".to_owned(), Some(1000)),
    };
    let length = announced.unwrap_or(body.len());
    let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
    write!(
        stream,
        "HTTP/1.1 {status} Said\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// What of a request opens something, as far as it came in a readable form.
fn secrets_of(path: &str, headers: &[(String, String)], body: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (name, value) in headers {
        match name.as_str() {
            "authorization" => {
                let credentials = value.split(' ').nth(1).unwrap_or_default();
                found.extend(
                    STANDARD.decode(credentials).map(|pair| String::from_utf8_lossy(&pair).into_owned()),
                );
                found.push(value.clone());
            }
            "x-vault-token" | "x-amz-security-token" => found.push(value.clone()),
            _ => {}
        }
    }
    if let Ok(document) = serde_json::from_str::<Value>(body) {
        let members = document.as_object().into_iter().flatten();
        found.extend(members.filter_map(|(_, value)| Some(value.as_str()?.to_owned())));
    } else {
        let form = url::form_urlencoded::parse(body.as_bytes());
        found.extend(
            form.map(|(_, value)| value.into_owned())
                .filter(|value| value.starts_with("eyJ") || value.contains(PLANTED)),
        );
    }
    found.push(path.to_owned());
    found.retain(|text| is_secret(text));
    found
}

/// The error document of whoever is asked there, with everything in it: as it came, for the browser, or in base64.
fn error_document(path: &str, status: u16, came: &[String]) -> String {
    let spelled = came.iter().map(|secret| match status {
        401 => secret.clone(),
        403 => url::form_urlencoded::byte_serialize(secret.as_bytes()).collect(),
        _ => STANDARD.encode(secret),
    });
    let said = spelled.collect::<Vec<_>>().join(" ");
    let nested = path.contains("/providers/") || path.contains("/bigquery/");
    // as AWS puts it, which repeats the session's token
    let canonical = format!(
        "The signature does not match. The Canonical String for this request should have been '{said}'"
    );
    json!({
        "error": if nested { json!({"code": "denied", "message": said}) } else { json!(said) },
        "error_description": said, "detail": said, "errors": [said], "errorType": "denied",
        "__type": "InvalidSignatureException", "message": canonical,
    })
    .to_string()
}

/// Whether something holds a secret, in plain, or as base64 has it, or is signed with one.
fn is_secret(text: &str) -> bool {
    let within = (0..3).map(|before| {
        let encoded = STANDARD.encode([&b"???"[..before], PLANTED.as_bytes()].concat());
        // the first and the last letters depend on what is beside
        encoded.trim_end_matches('=')[before + usize::from(before > 0)..8].to_owned()
    });
    text.contains(PLANTED)
        || within.into_iter().any(|encoded| text.contains(&encoded))
        || text.contains("eyJ")
}

fn must_be_clean(what: &str, text: &str) {
    if let Some(line) = text.lines().find(|line| is_secret(line)) {
        panic!("{what}: {}", line.chars().take(1000).collect::<String>());
    }
}

/// Everything that the program has said and kept.
fn look_through(what: &str, desk: &Desk, said: &Answer) {
    assert!(!said.err.contains("panicked"), "{what}: {}", said.err);
    must_be_clean(&format!("{what}: stdout"), &said.out);
    must_be_clean(&format!("{what}: stderr"), &said.err);
    files(&desk.path().join(".monthend"), &mut |path| {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        must_be_clean(&format!("{what}: {}", path.display()), &text);
    });
}

fn files(folder: &Path, each: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => files(&path, each),
            path => each(&path),
        }
    }
}

/// A `.env` with these variables; values are quoted, `URL` in them is the peer's.
fn write_env(desk: &Desk, url: &str, variables: &[(&str, &str)]) {
    let common = [("HTTP_ATTEMPTS", "1"), ("AWS_MAX_ATTEMPTS", "1"), ("HTTP_BACKOFF_MS", "1")];
    let lines = common.iter().chain(variables).map(|(name, value)| {
        let value = value.replace("URL", url);
        format!("{name}=\"{}\"\n", value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n"))
    });
    desk.write(".env", lines.collect::<String>().as_bytes());
}

/// A function with its secrets.
struct Planted {
    args: Vec<&'static str>,
    variables: Vec<(&'static str, String)>,
}

impl Planted {
    fn new(args: &[&'static str], variables: &[(&'static str, &str)], secrets: &[&'static str]) -> Self {
        let plain = variables.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let secrets = secrets.iter().map(|name| (*name, planted(name)));
        Self { args: [args, &["--verbose"]].concat(), variables: plain.chain(secrets).collect() }
    }

    /// What it ends with where a server answers so, looked through.
    fn run(&self, server: Server, url: Option<&str>) -> Answer {
        let (peer, desk) = (Peer::start(server), Desk::new());
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        write_env(&desk, url.unwrap_or(&peer.url), &variables);
        let said = desk.run(&self.args);
        let what = format!("{:?} {server:?} {url:?}", self.args);
        look_through(&what, &desk, &said);
        assert_ne!(said.code, 0, "{what}: {}{}", said.out, said.err);
        // a private key of Atlas is never sent, so that nothing else can come back
        if matches!(server, Server::Repeats(..))
            && self.variables.iter().all(|(name, _)| *name != "PRIVATE_KEY")
        {
            assert!(peer.was_told.load(Ordering::Relaxed), "{what}: {}{}", said.out, said.err);
        }
        said
    }
}

fn service_account() -> String {
    local::sandbox::GcpSandbox::service_account_key()
}

/// Every function that has secrets, in each way to have them.
fn functions() -> Vec<Planted> {
    let key = service_account();
    let mut gcp = Planted::new(
        &["invoke", "fetch-gcp"],
        &[
            ("GCP_API_URL", "URL"),
            ("GCP_TOKEN_URL", "URL/token"),
            ("GCP_BILLING_TABLE", local::sandbox::GCP_BILLING_TABLE),
            ("GCP_LOCATION", "EU"),
        ],
        &[],
    );
    gcp.variables.push(("GCP_SERVICE_ACCOUNT_KEY", key));
    let ccx: [(&str, &str); 2] = [("CCX_API_URL", "URL"), ("CCX_USER", "admin")];
    let vault: [(&str, &str); 4] = [
        ("CCX_API_URL", "https://127.0.0.1:9"),
        ("SECRETS", "vault"),
        ("VAULT_ADDR", "URL"),
        ("CCX_VAULT_PATH", "monthend/ccx"),
    ];
    let aws: [(&str, &str); 7] = [
        ("CCX_API_URL", "https://127.0.0.1:9"),
        ("SECRETS", "secretsmanager"),
        ("CCX_SECRET_ARN", "monthend/ccx"),
        ("DATA_BUCKET", "b"),
        ("STATE_TABLE", "t"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ENDPOINT_URL", "URL"),
    ];
    let mut of_aws =
        Planted::new(&["invoke", "fetch-ccx", "--cloud", "aws"], &aws, &["AWS_SECRET_ACCESS_KEY"]);
    of_aws.variables.push(("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE".into()));
    of_aws.variables.push(("AWS_SESSION_TOKEN", "planted/session".into()));
    vec![
        Planted::new(
            &["invoke", "fetch-atlas"],
            &[
                ("ATLAS_API_URL", "URL/api/atlas/v2"),
                ("PUBLIC_KEY", "abcdefgh"),
                ("ORG_ID", "5f1a2b3c4d5e6f7081920a01"),
            ],
            &["PRIVATE_KEY"],
        ),
        Planted::new(
            &["invoke", "fetch-atlas"],
            &[
                ("ATLAS_API_URL", "URL/api/atlas/v2"),
                ("CLIENT_ID", "mdb_sa_id"),
                ("ORG_ID", "5f1a2b3c4d5e6f7081920a01"),
            ],
            &["CLIENT_SECRET"],
        ),
        Planted::new(
            &["invoke", "fetch-azure"],
            &[
                ("AZURE_API_URL", "URL"),
                ("AZURE_LOGIN_URL", "URL"),
                ("AZURE_SCOPE", local::sandbox::AZURE_SCOPE),
                ("AZURE_TENANT_ID", "contoso.example"),
                ("AZURE_CLIENT_ID", "id"),
            ],
            &["AZURE_CLIENT_SECRET"],
        ),
        gcp,
        Planted::new(&["invoke", "fetch-ccx"], &ccx, &["CCX_PASSWORD"]),
        Planted::new(
            &["invoke", "fetch-prometheus"],
            &[("PROMETHEUS_URL", "URL"), ("PROMETHEUS_USER", "u")],
            &["PROMETHEUS_PASSWORD"],
        ),
        Planted::new(&["invoke", "fetch-prometheus"], &[("PROMETHEUS_URL", "URL")], &["PROMETHEUS_TOKEN"]),
        Planted::new(&["invoke", "fetch-ccx"], &vault, &["VAULT_TOKEN"]),
        Planted::new(
            &["invoke", "fetch-ccx"],
            &[&vault[..], &[("VAULT_ROLE_ID", "role")]].concat(),
            &["VAULT_SECRET_ID"],
        ),
        of_aws,
    ]
}

#[test]
fn no_failing_peer_brings_a_secret_to_light() {
    let (functions, servers) = (
        functions(),
        [
            Server::Absent,
            Server::Repeats(401, Tokens::Refused),
            Server::Repeats(401, Tokens::Given),
            Server::Repeats(403, Tokens::Refused),
            Server::Repeats(403, Tokens::Given),
            Server::Repeats(500, Tokens::Refused),
            Server::Repeats(500, Tokens::Given),
            Server::Says("<planted>"),
            Server::BreaksOff,
        ],
    );
    // most of the time is waited for the disk
    std::thread::scope(|scope| {
        for function in &functions {
            scope.spawn(|| servers.map(|server| function.run(server, None)));
        }
    });
}

#[test]
fn a_url_with_a_password_is_refused_without_it() {
    let urls = [
        "https://user:planted@127.0.0.1:9",
        "https://planted@127.0.0.1:9/",
        "http://user:planted@example.com/?sig=planted",
        "https://user:planted@example.com:port/",
        "user:planted@example.com",
        "planted",
    ];
    let functions = functions();
    std::thread::scope(|scope| {
        for function in &functions {
            scope.spawn(|| {
                // a signature may be right, and is not shown
                function.run(Server::Absent, Some("https://127.0.0.1:9/?sig=planted"));
                for url in urls {
                    let said = function.run(Server::Absent, Some(url));
                    let of_aws = function.args.contains(&"aws");
                    assert!(
                        of_aws || said.err.contains("is not usable"),
                        "{:?} {url}: {}",
                        function.args,
                        said.err
                    );
                }
            });
        }
    });
}

#[test]
fn no_secret_that_is_malformed_is_quoted() {
    let key: Value = serde_json::from_str(&service_account()).unwrap();
    let with = |member: &str, value: Value| {
        let mut key = key.clone();
        key[member] = value;
        key.to_string()
    };
    let gcp = functions().remove(3);
    for text in [
        "planted".to_owned(),
        "{\"private_key\": \"planted".to_owned(),
        r#"{"private_key": ["planted"]}"#.to_owned(),
        with("private_key", json!("-----BEGIN PRIVATE KEY-----\nplanted\n-----END PRIVATE KEY-----\n")),
        with("private_key", json!(["planted"])),
        with("type", json!("planted")),
        with("client_email", json!({"planted": 1})),
        with("token_uri", json!("planted")),
        with("token_uri", json!("https://user:planted@example.com")),
        with("token_uri", json!("http://example.com/?planted")),
    ] {
        let mut gcp = Planted { args: gcp.args.clone(), variables: gcp.variables.clone() };
        gcp.variables.retain(|(name, _)| !["GCP_SERVICE_ACCOUNT_KEY", "GCP_TOKEN_URL"].contains(name));
        gcp.variables.push(("GCP_SERVICE_ACCOUNT_KEY", text));
        gcp.run(Server::Absent, None);
    }

    // answers that should hold a token
    for at in 1..=3 {
        for document in
            [r#"{"access_token": ["planted"], "expires_in": 1}"#, r#"{"access_token": "planted"#, "planted"]
        {
            functions().remove(at).run(Server::Says(document), None);
        }
    }

    // documents of Vault and of Secrets Manager: no JSON, no object, members of another type
    let [vault, aws] = [7, 9].map(|at| functions().remove(at));
    for document in [
        "planted",
        "{\"data\": {\"data\": {\"CCX_PASSWORD\": \"planted",
        r#"{"data": {"data": "planted"}}"#,
        r#"{"data": {"data": {"CCX_USER": "u", "CCX_PASSWORD": {"a": "planted"}}}}"#,
        r#"{"data": {"data": {"CCX_PASSWORD": "planted"}}}"#,
    ] {
        vault.run(Server::Says(document), None);
    }
    for document in [
        r#"{"SecretString": "planted"}"#,
        r#"{"SecretString": "[\"planted\"]"}"#,
        r#"{"SecretString": "{\"CCX_USER\": \"u\", \"CCX_PASSWORD\": [\"planted\"]}"}"#,
        r#"{"SecretString": "{\"CCX_PASSWORD\": \"planted\"}"}"#,
        r#"{"SecretBinary": "cGxhbnRlZA=="}"#,
        r#"{"SecretString": ["planted"]}"#,
    ] {
        aws.run(Server::Says(document), None);
    }
}

#[test]
fn a_password_is_kept_as_its_hash_alone() {
    for (password, code) in
        [("a long planted password".to_owned(), 0), ("planted".to_owned(), 1), ("planted".repeat(900), 1)]
    {
        let desk = Desk::new();
        let mut command = desk.command(&["admin", "set-password", "--verbose"]);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().unwrap();
        let _ = running.stdin.take().unwrap().write_all(password.as_bytes());
        let said = answer(running.wait_with_output().unwrap());
        assert_eq!(said.code, code, "{}", said.err);
        look_through("set-password", &desk, &said);
    }
}

#[test]
fn a_file_that_cannot_be_read_names_line_and_variable() {
    for (file, said) in [
        ("PUBLIC_KEY=a\nPRIVATE_KEY \"planted\"\n", ".env, line 2: expected NAME=value"),
        ("PRIVATE_KEY=planted # planted\n", ".env, line 1: PRIVATE_KEY: a # after a space"),
        ("PRIVATE_KEY='planted\n", ".env, line 1: PRIVATE_KEY: the quote"),
        ("PRIVATE_KEY=\"a\\planted\"\n", ".env, line 1: PRIVATE_KEY: within double quotes"),
        ("GCP_SERVICE_ACCOUNT_KEY={\n\"private_key\": \"planted\"\n}\n", ".env, line 2: expected NAME=value"),
        (
            "GCP_SERVICE_ACCOUNT_KEY=\"{\"private_key\": \"planted\"}\"\n",
            "GCP_SERVICE_ACCOUNT_KEY: more follows",
        ),
        (
            "PRIVATE_KEY=planted\nPRIVATE_KEY=planted2\n",
            ".env, line 2: PRIVATE_KEY: it is set in line 1 already",
        ),
    ] {
        let desk = Desk::new();
        desk.write(".env", file.as_bytes());
        let answer = desk.run(&["status"]);
        assert_eq!(answer.code, 1, "{file}");
        assert!(answer.err.contains(said), "{file}: {}", answer.err);
        look_through(file, &desk, &answer);
    }
    let desk = Desk::new();
    desk.write(".env", b"\n\nPRIVATE_KEY=planted\xff\n");
    assert_eq!(
        desk.run(&["status"]).err.trim(),
        "error: .env, line 3: this is no UTF-8: save the file as UTF-8"
    );
}

/// As it is sent, seen by who gets it.
#[test]
fn a_password_arrives_as_it_is_written() {
    let heard = |written: &str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let desk = Desk::new();
        let url = format!("http://{}", listener.local_addr().unwrap());
        desk.write(
            ".env",
            format!("CCX_API_URL={url}\nCCX_USER=u\nHTTP_ATTEMPTS=1\nCCX_PASSWORD={written}\n").as_bytes(),
        );
        let mut running = desk
            .command(&["invoke", "fetch-ccx"])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream).lines().map_while(Result::ok);
        let header =
            lines.take_while(|line| !line.is_empty()).find(|line| line.starts_with("authorization:"));
        drop(listener);
        running.wait().unwrap();
        let pair = STANDARD.decode(header.unwrap().split(' ').nth(2).unwrap()).unwrap();
        String::from_utf8(pair).unwrap().strip_prefix("u:").unwrap().to_owned()
    };
    for (written, password) in [
        ("pa$word${HOME}", "pa$word${HOME}"),
        ("pa#word", "pa#word"),
        ("it's a \"long\" one\\n", "it's a \"long\" one\\n"),
        ("'with # and $ '", "with # and $ "),
        (r#""q\"\\$x""#, r#"q"\$x"#),
        ("p\u{e4}ss=\u{1f511}", "p\u{e4}ss=\u{1f511}"),
    ] {
        assert_eq!(heard(written), password, "{written}");
    }
}

/// What fails by an event is dead-lettered with its error.
#[test]
fn no_dead_letter_holds_a_secret() {
    let sandbox = Desk::new();
    assert_eq!(sandbox.run(&["metering", "run", "--sandbox"]).code, 0);
    let listed = sandbox.run(&["ls", "usage/", "--format", "csv"]).out;
    let key = listed.lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    let usage = sandbox.run(&["cat", &key]).out;
    let names: Vec<&str> = key.split('/').collect();
    for server in [Server::Repeats(401, Tokens::Refused), Server::Repeats(500, Tokens::Given), Server::Absent]
    {
        let (peer, desk) = (Peer::start(server), Desk::new());
        let secret = planted("CLAZAR_CLIENT_SECRET");
        let variables = [
            ("CLAZAR_API_URL", "URL/metering/"),
            ("CLAZAR_CLIENT_ID", "id"),
            ("CLAZAR_CLIENT_SECRET", secret.as_str()),
            ("SERVICE_NAME", names[2]),
            ("ENVIRONMENT_TYPE", names[3]),
            ("PLAN_ID", names[4]),
            ("START_MONTH", names[5]),
        ];
        write_env(&desk, &peer.url, &variables);
        desk.write("usage.json", usage.as_bytes());
        let put = desk.run(&["put", "usage.json", &key, "--verbose"]);
        assert!(put.err.contains("Clazar"), "{}", put.err);
        look_through(&format!("put {server:?}"), &desk, &put);
        assert_eq!(peer.was_told.load(Ordering::Relaxed), server != Server::Absent, "{}", put.err);
        for command in [&["status"][..], &["metering", "status"], &["metering", "run"]] {
            look_through(&format!("{command:?} {server:?}"), &desk, &desk.run(command));
        }
        // and an address that is refused
        write_env(&desk, "https://user:planted@127.0.0.1:9", &variables);
        look_through("a URL", &desk, &desk.run(&["metering", "run"]));
    }
}

/// What an upload was answered is noted in the ledger.
#[test]
fn no_upload_leaves_a_secret() {
    for secrets in [&["INVOICING_PASSWORD"][..], &["INVOICING_TOKEN"]] {
        for server in [
            Server::Repeats(401, Tokens::Given),
            Server::Repeats(403, Tokens::Given),
            Server::Repeats(500, Tokens::Given),
            Server::Absent,
        ] {
            let (peer, desk) = (Peer::start(server), Desk::new());
            let secret = planted(secrets[0]);
            let variables = [
                ("INVOICING_URL", "URL/in?code=planted"),
                ("INVOICING_USER", "u"),
                (secrets[0], secret.as_str()),
            ];
            write_env(&desk, &peer.url, &variables);
            desk.write("september.csv", file("september.csv").as_bytes());
            desk.write("catalog.yaml", file("catalog.yaml").as_bytes());
            assert_eq!(desk.run(&["import", "september.csv"]).code, 0);
            assert_eq!(desk.run(&["catalog", "apply", "catalog.yaml"]).code, 0);
            let billed = desk.run(&["bill", "--month", "2026-09", "--verbose"]);
            look_through(&format!("bill {server:?}"), &desk, &billed);
            assert_eq!(
                peer.was_told.load(Ordering::Relaxed),
                server != Server::Absent,
                "{}{}",
                billed.out,
                billed.err
            );
            assert_ne!(billed.code, 0, "{}{}", billed.out, billed.err);
            look_through("status", &desk, &desk.run(&["status"]));
            write_env(&desk, "https://user:planted@127.0.0.1:9", &variables);
            let refused = desk.run(&["bill", "--month", "2026-09"]);
            assert!(refused.err.contains("INVOICING_URL"), "{}", refused.err);
            look_through("a URL", &desk, &refused);
        }
    }
}
