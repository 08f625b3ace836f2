//! What Vault may answer instead of a secret: one line that says what to do, and never what is secret.

use local::sandbox::{ATLAS_CREDENTIALS, FaultKind, VAULT_CREDENTIALS, VAULT_TOKEN, VaultFault};
use serde_json::json;

use crate::ccx_failures::replay;
use crate::vault::{fixture, world};
use crate::world::World;

const ONCE: (&str, &str) = ("HTTP_ATTEMPTS", "1");
const READ: &str = "secret/data/monthend/atlas";

impl World {
    /// The message of a fetch that finds no secret. There is none in it, and nothing was asked of Atlas.
    async fn vault_error(&self, vars: &[(&str, &str)]) -> String {
        let before = self.atlas.requests().len();
        let message = self.with_vault(vars, "fetch-atlas", json!({})).await.unwrap_err().message;
        let [_, secret_id] = VAULT_CREDENTIALS;
        for (name, secret) in [ATLAS_CREDENTIALS[0], ATLAS_CREDENTIALS[1], secret_id, VAULT_TOKEN] {
            assert!(!message.contains(secret), "{name} is in: {message}");
        }
        assert!(!message.contains("hvs."), "a token is in: {message}");
        assert_eq!(self.atlas.requests().len(), before, "{message}");
        message
    }

    fn vault_fault(&self, kind: impl Into<FaultKind<VaultFault>>, times: usize) {
        self.vault().fail("", kind, times);
    }
}

/// An answer as it goes over the wire.
fn answer(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
    format!("{head}{body}").into_bytes()
}

fn json_answer(body: &str) -> Vec<u8> {
    answer("200 OK", "application/json", body)
}

#[tokio::test]
async fn recorded_refusals_say_what_to_do() {
    let world = world().await;
    let [role_id, secret_id] = VAULT_CREDENTIALS;
    for (recorded, expected) in [
        (
            "403.http",
            "Vault does not allow secret/data/monthend/atlas (403 permission denied): the token must be in force and its \
             policy must give read there; check VAULT_MOUNT, VAULT_NAMESPACE and ATLAS_VAULT_PATH",
        ),
        (
            "404_missing.http",
            "Vault knows no secret/data/monthend/atlas (404): check ATLAS_VAULT_PATH (a path without its mount), VAULT_MOUNT, \
             VAULT_NAMESPACE, and VAULT_KV (1 or 2, the version of that engine)",
        ),
        (
            "404_deleted_version.http",
            "version 2 of secret/data/monthend/atlas in Vault, the newest, is deleted: undelete it, or write a new one",
        ),
        (
            "503_sealed.http",
            "Vault is sealed, so that nothing can be read (503 Vault is sealed): it must be unsealed",
        ),
    ] {
        let url = replay(fixture(recorded)).await;
        assert_eq!(world.vault_error(&[VAULT_TOKEN, ONCE, ("VAULT_ADDR", &url)]).await, expected);
    }
    let url = replay(fixture("400_bad_secret_id.http")).await;
    assert_eq!(
        world.vault_error(&[role_id, secret_id, ONCE, ("VAULT_ADDR", &url)]).await,
        "Vault refused the login (400 invalid role or secret ID): check VAULT_ROLE_ID and VAULT_SECRET_ID \
         (which expires, or may be used up), VAULT_APPROLE_MOUNT and VAULT_NAMESPACE"
    );
}

#[tokio::test]
async fn the_recorded_secret_is_read() {
    let world = world().await;
    let url = replay(json_answer(&String::from_utf8(fixture("kv2_read_200.json")).unwrap())).await;
    let refused = world.with_vault(&[VAULT_TOKEN, ("VAULT_ADDR", &url)], "fetch-atlas", json!({})).await;
    let message = refused.unwrap_err().message;
    // its keys are not those of the sandbox, which says so
    assert!(message.contains("check PUBLIC_KEY and PRIVATE_KEY"), "{message}");
}

#[tokio::test]
async fn answers_that_are_not_vaults_are_recognised() {
    let world = world().await;
    let page = "<!doctype html><title>Sign in</title>";
    let unexpected = format!("the answer to {READ} is not what the API documents: ");
    for (bytes, expected) in [
        (
            answer("200 OK", "text/html", page),
            format!("the answer to {READ} (200) is a web page, not Vault's; check VAULT_ADDR"),
        ),
        (
            answer("403 Forbidden", "text/html", page),
            format!("the answer to {READ} (403) is a web page, not Vault's; check VAULT_ADDR"),
        ),
        (answer("502 Bad Gateway", "text/html", page), format!("Vault failed at {READ} (502)")),
        (
            json_answer(r#"{"data": {"data": {"PUBLIC_KEY": "sand"#),
            format!("{unexpected}it is no JSON from line 1, column 38 on"),
        ),
        (
            json_answer(r#"{"data": {"PUBLIC_KEY": "sandboxk"}}"#),
            format!("{unexpected}there is no data.data; set VAULT_KV=1 if that engine is of version 1"),
        ),
        (
            json_answer(r#"{"data": {"data": ["sandboxk"]}}"#),
            format!("{unexpected}the secret is no JSON object"),
        ),
        (
            json_answer(r#"{"data": {"data": {"PUBLIC_KEY": "sandboxk", "port": 5432}}}"#),
            format!("the member port of {READ} in Vault is a number: each must be a text"),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90\r\n\r\n{\"data\""
                .to_vec(),
            format!("the answer to {READ} broke off: "),
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 90000000\r\n\r\n{"
                .to_vec(),
            format!("the answer to {READ} is larger than 2097152 bytes"),
        ),
        (answer("405 Method Not Allowed", "application/json", "{}"), format!("Vault refused {READ} (405)")),
    ] {
        let url = replay(bytes).await;
        let message = world.vault_error(&[VAULT_TOKEN, ONCE, ("VAULT_ADDR", &url)]).await;
        assert!(message.starts_with(&expected), "{message}\ninstead of\n{expected}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let world = world().await;
    let elsewhere = world.vault_url();
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {elsewhere}/v1/{READ}?secret=x\r\nContent-Length: 0\r\n\r\n"
    );
    let url = replay(redirect.into_bytes()).await;
    let message = world.vault_error(&[VAULT_TOKEN, ("VAULT_ADDR", &url)]).await;
    assert_eq!(
        message,
        format!(
            "Vault answers {READ} with a redirect (307 to {elsewhere}), which is not followed, because credentials would be sent on; \
             set VAULT_ADDR to the server that answers itself"
        )
    );
    assert_eq!(world.vault().requests(), Vec::<String>::new());
}

#[tokio::test]
async fn documents_and_rights_that_are_not_there() {
    let world = world().await;
    world.vault().put("monthend/half", json!({"PUBLIC_KEY": "x", "PRIVATE_KEY": " "}));
    world.vault().put("monthend/gone", json!({"PUBLIC_KEY": "x"}));
    world.vault().destroy("monthend/gone");
    let [role_id, secret_id] = VAULT_CREDENTIALS;
    for (variable, value, expected) in [
        (
            "ATLAS_VAULT_PATH",
            "monthend/half",
            "PRIVATE_KEY is missing in secret/data/monthend/half in Vault: set it to the private key of that Atlas API key",
        ),
        (
            "ATLAS_VAULT_PATH",
            "monthend/gone",
            "version 1 of secret/data/monthend/gone in Vault, the newest, is destroyed: write a new one",
        ),
        (
            "ATLAS_VAULT_PATH",
            "other/atlas",
            "Vault does not allow secret/data/other/atlas (403 permission denied)",
        ),
        (
            "ATLAS_VAULT_PATH",
            "monthend/none",
            "Vault knows no secret/data/monthend/none (404): check ATLAS_VAULT_PATH",
        ),
        (
            "ATLAS_VAULT_PATH",
            "../sys/raw",
            "the variable ATLAS_VAULT_PATH is '../sys/raw', expected a path in Vault",
        ),
        (
            "VAULT_KV",
            "1",
            "Vault knows no secret/monthend/atlas (404 Invalid path for a versioned K/V secrets engine.",
        ),
        (
            "VAULT_MOUNT",
            "elsewhere",
            "Vault knows no elsewhere/data/monthend/atlas (404 no handler for route.",
        ),
        ("VAULT_NAMESPACE", "elsewhere", "Vault refused the login (404 no handler for route."),
        ("VAULT_NAMESPACE", "a\nb", "VAULT_NAMESPACE has characters that cannot be sent in a header"),
        ("VAULT_APPROLE_MOUNT", "roles", "Vault refused the login (404"),
        ("VAULT_SECRET_ID", "used-up", "Vault refused the login (400 invalid role or secret ID)"),
        (
            "VAULT_TOKEN",
            "hv-expired",
            "Vault does not allow secret/data/monthend/atlas (403 permission denied)",
        ),
        ("VAULT_TOKEN", "a\u{7f}b", "VAULT_TOKEN has characters that cannot be sent in a header"),
    ] {
        let message = world.vault_error(&[role_id, secret_id, (variable, value)]).await;
        assert!(message.starts_with(expected), "{message}\ninstead of\n{expected}");
    }
}

#[tokio::test]
async fn variables_that_are_not_there() {
    let world = world().await;
    let missing = async |vars: &[(&str, &str)]| {
        let vars = [&[("SECRETS", "vault")][..], vars].concat();
        world.invoke_with(&vars, "fetch-atlas", json!({})).await.unwrap_err().message
    };
    let (path, url) = (("ATLAS_VAULT_PATH", "monthend/atlas"), world.vault_url());
    assert_eq!(
        missing(&[("ATLAS_SECRET_ARN", "monthend/atlas")]).await,
        "the variable ATLAS_VAULT_PATH is missing: set it to the path of the secret in Vault without its mount, \
         for example monthend/atlas"
    );
    assert_eq!(
        missing(&[path]).await,
        "the variable VAULT_ADDR is missing: set it to the URL of the Vault server, https://..."
    );
    assert_eq!(
        missing(&[path, ("VAULT_ADDR", url.as_str()), VAULT_CREDENTIALS[0]]).await,
        "there is no login for Vault: set VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_TOKEN (VAULT_SECRET_ID is not set)"
    );
    let plain = missing(&[path, VAULT_TOKEN, ("VAULT_ADDR", "http://vault.example.com:8200")]).await;
    assert!(plain.contains("use https (plain http is for this machine only)"), "{plain}");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_what_may_not_is_not() {
    let world = world().await;
    let requests = || world.vault().requests().len();
    let august = || json!({"month": "2026-08", "dry_run": true});
    for (kind, times) in [
        (FaultKind::Status(412), 2),
        (FaultKind::Status(429), 2),
        (FaultKind::RetryAfter(429, 1), 1),
        (FaultKind::Status(500), 2),
        (FaultKind::Status(502), 2),
        (FaultKind::Status(503), 4),
    ] {
        let before = requests();
        world.vault_fault(kind.clone(), times);
        world.with_vault(&VAULT_CREDENTIALS, "fetch-atlas", august()).await.unwrap();
        assert_eq!(requests(), before + times + 2, "{kind:?}");
    }
    for status in [400, 403, 404, 405] {
        let before = requests();
        world.vault_fault(FaultKind::Status(status), 1);
        let message = world.vault_error(&[VAULT_TOKEN]).await;
        assert!(message.contains(&format!("({status} on request)")), "{message}");
        assert_eq!(requests(), before + 1, "{message}");
    }
    world.vault_fault(FaultKind::Status(500), 5);
    let message = world.vault_error(&VAULT_CREDENTIALS).await;
    assert_eq!(message, "Vault failed at auth/approle/login (500 on request) (after 5 attempts)");
    world.vault().seal(true);
    let message = world.vault_error(&[VAULT_TOKEN, ("HTTP_ATTEMPTS", "2")]).await;
    assert!(message.ends_with("(503 Vault is sealed): it must be unsealed (after 2 attempts)"), "{message}");
    world.vault().seal(false);
    world.with_vault(&[VAULT_TOKEN], "fetch-atlas", august()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_silent_or_not_there_is_given_up() {
    let world = world().await;
    world.vault_fault(FaultKind::DelayMs(60_000), 2);
    let impatient = [VAULT_TOKEN, ("HTTP_READ_TIMEOUT_MS", "50"), ("HTTP_ATTEMPTS", "2")];
    let message = world.vault_error(&impatient).await;
    let told = format!("Vault does not answer at {}: time-out; check VAULT_ADDR", world.vault_url());
    assert!(message.starts_with(&told) && message.ends_with("(after 2 attempts)"), "{message}");
    let nobody = [VAULT_TOKEN, ONCE, ("VAULT_ADDR", "http://127.0.0.1:9")];
    let message = world.vault_error(&nobody).await;
    assert!(message.starts_with("Vault cannot be reached at http://127.0.0.1:9: "), "{message}");
}

#[tokio::test]
async fn what_a_server_repeats_is_not_shown() {
    let world = world().await;
    let [(_, role_id), (_, secret_id)] = VAULT_CREDENTIALS;
    world.vault_fault(VaultFault::Message(format!("no such pair: {role_id} {secret_id}")), 1);
    let message = world.vault_error(&VAULT_CREDENTIALS).await;
    assert!(message.contains("(400 no such pair: [...] [...])"), "{message}");
    world.vault_fault(VaultFault::Message(format!("what is {}", VAULT_TOKEN.1)), 1);
    let message = world.vault_error(&[VAULT_TOKEN]).await;
    assert_eq!(message, format!("Vault refused {READ} (400 what is [...])"));
    let vars = world.vault_vars(&[VAULT_TOKEN]);
    let secrets = cloud::secrets::Secrets::load(&vars, &world.aws, "ATLAS_SECRET_ARN").await.unwrap();
    let shown = format!("{secrets:?}");
    assert!(shown.contains("PRIVATE_KEY") && shown.contains("REDACTED"), "{shown}");
    assert!(!shown.contains(ATLAS_CREDENTIALS[1].1), "{shown}");
}
