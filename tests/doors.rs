//! Who is let into the embedded cloud: programs with its keys, by the address that it listens on. No page of a browser, but the console's.

use cloud::vars::Vars;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{World, example, quick};

/// Name and address of every port, the console's first.
pub(crate) fn ports(world: &World) -> Vec<(String, String)> {
    let shown = serde_json::to_value(world.cloud.endpoints()).unwrap();
    let address = |value: &Value| {
        let url = value.as_str().or_else(|| value["url"].as_str())?.strip_prefix("http://")?;
        Some(url.split('/').next().unwrap().to_owned())
    };
    let mut ports: Vec<(String, String)> = shown
        .as_object()
        .unwrap()
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), address(value)?)))
        .collect();
    ports.sort_by_key(|(name, _)| name != "console");
    assert_eq!(ports.len(), 13, "{ports:?}");
    ports
}

/// Status and head of the answer to a request as it is written.
async fn raw(address: &str, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).to_lowercase();
    let head = answer.split("\r\n\r\n").next().unwrap().to_owned();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
}

async fn asked(address: &str, method: &str, host: &str, headers: &str) -> (u16, String) {
    let headers = if headers.is_empty() { String::new() } else { format!("{headers}\n") };
    raw(address, &format!("{method} / HTTP/1.1\nHost: {host}\n{headers}Connection: close\n\n")).await
}

#[tokio::test]
async fn no_page_and_no_foreign_host_is_answered_on_any_port() {
    let world = World::listening(example(), false, quick()).await;
    for (name, address) in ports(&world) {
        let (status, head) = asked(&address, "GET", &address, "").await;
        assert!(!head.contains("refused") && status < 500, "{name}: {head}");
        let pages = ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost:3000"];
        for origin in pages.map(|page| format!("Origin: {page}")) {
            let preflight = format!("{origin}\nAccess-Control-Request-Method: POST");
            for (method, headers) in [("GET", &origin), ("POST", &origin), ("OPTIONS", &preflight)] {
                let (status, head) = asked(&address, method, &address, headers).await;
                assert_eq!(status, 403, "{name} {method} {origin}: {head}");
                assert!(!head.contains("access-control"), "{name}: {head}");
            }
        }
        let port = address.rsplit(':').next().unwrap();
        for host in
            [format!("evil.example:{port}"), format!("127.0.0.1.evil.example:{port}"), "10.0.0.1".into()]
        {
            let (status, head) = asked(&address, "GET", &host, "").await;
            assert_eq!(status, 403, "{name} {host}: {head}");
        }
        if name != "console" {
            let own = format!("Origin: http://{address}");
            assert_eq!(asked(&address, "GET", &address, &own).await.0, 403, "{name}: also its own is a page");
            assert_eq!(asked(&address, "GET", &address, "Sec-Fetch-Site: cross-site").await.0, 403, "{name}");
        }
    }
}

#[tokio::test]
async fn only_the_keys_of_the_home_open_what_speaks_as_aws_does() {
    let world = World::listening(example(), false, quick()).await;
    let open = |vars: &Vars, service: &str| {
        let (vars, service) = (vars.clone(), service.to_owned());
        async move {
            let aws = cloud::aws::Aws::connect(&vars).await.unwrap();
            match service.as_str() {
                "s3" => cloud::bucket::Bucket::new(&aws, "monthend-data")
                    .list("")
                    .await
                    .map(drop)
                    .map_err(|e| e.to_string()),
                "dynamodb" => cloud::ledger::Ledger::new(&aws, "monthend-state")
                    .get("a", "b")
                    .await
                    .map(drop)
                    .map_err(|e| e.to_string()),
                _ => cloud::secrets::Secrets::load(&vars, &aws, "ADMIN_SECRET_ARN")
                    .await
                    .map(drop)
                    .map_err(|e| e.to_string()),
            }
        }
    };
    let vars = local::console_vars(world.cloud.vars());
    let with = |name: &str, value: &str| {
        let mut changed = vars.clone();
        changed.set(name, value);
        changed
    };
    for service in ["s3", "dynamodb", "secrets"] {
        open(&vars, service).await.unwrap();
        for wrong in [
            with("AWS_SECRET_ACCESS_KEY", "monthend"),
            with("AWS_ACCESS_KEY_ID", "monthend"),
            with("AWS_SECRET_ACCESS_KEY", "0"),
        ] {
            open(&wrong, service).await.unwrap_err();
        }
    }
    // a second home has others
    let other = World::listening(example(), false, quick()).await;
    assert_ne!(other.cloud.endpoints().credentials, world.cloud.endpoints().credentials);
    // and nobody gets in without any
    for (name, address) in ports(&world) {
        let target = match name.as_str() {
            "s3" => "",
            "dynamodb" => "X-Amz-Target: DynamoDB_20120810.Scan",
            "secrets" => "X-Amz-Target: secretsmanager.GetSecretValue",
            _ => continue,
        };
        let key = &world.cloud.endpoints().credentials.access_key_id;
        let forged = format!(
            "{target}\nAuthorization: AWS4-HMAC-SHA256 Credential={key}/20261102/us-east-1/{name}/aws4_request, SignedHeaders=host, Signature=00"
        );
        for headers in [target, forged.trim_start()] {
            let method = if name == "s3" { "GET" } else { "POST" };
            let (status, head) = asked(&address, method, &address, headers).await;
            assert!(matches!(status, 400 | 403), "{name}: {head}");
        }
    }
}

#[tokio::test]
async fn a_form_is_no_way_into_the_bucket() {
    let world = World::listening(example(), false, quick()).await;
    let s3 = ports(&world).into_iter().find(|(name, _)| name == "s3").unwrap().1;
    let body = "--x\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\ncatalog/current.yaml\r\n--x\r\n\
                Content-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nteams: []\r\n--x--\r\n";
    let request = format!(
        "POST /monthend-data HTTP/1.1\nHost: {s3}\nContent-Type: multipart/form-data; boundary=x\nContent-Length: {}\nConnection: close\n\n",
        body.len()
    );
    let mut stream = TcpStream::connect(&s3).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(world.bucket.list("catalog/").await.unwrap().is_empty());
}
