//! Secrets that stand in Vault: each function finds its own, by AppRole or by token, and the console's password is written there.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloud::invocation::Failure;
use cloud::secrets::{SecretPlace, Secrets};
use cloud::vars::Vars;
use local::Functions;
use local::sandbox::{
    ATLAS_CREDENTIALS, FaultKind, VAULT_CREDENTIALS, VAULT_TOKEN, VaultFault, VaultSandbox, secrets,
};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::console::PASSWORD;
use crate::metering_world::metered;
use crate::world::{World, example, now, quick};

/// What the environment says where the secrets are expected elsewhere.
const WRONG: [&str; 6] = [
    "PUBLIC_KEY",
    "PRIVATE_KEY",
    "AZURE_CLIENT_SECRET",
    "CCX_PASSWORD",
    "CLAZAR_CLIENT_SECRET",
    "GCP_SERVICE_ACCOUNT_KEY",
];

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(fixture_path(name)).unwrap()
}

fn fixture_path(name: &str) -> String {
    format!("{}/fixtures/vault/{name}", env!("CARGO_MANIFEST_DIR"))
}

impl World {
    pub(crate) fn vault(&self) -> &VaultSandbox {
        self.cloud.vault().unwrap()
    }

    pub(crate) fn vault_url(&self) -> String {
        self.cloud.endpoints().vault.clone().unwrap()
    }

    /// Variables of functions whose secrets stand in Vault, and these.
    pub(crate) fn vault_vars(&self, more: &[(&str, &str)]) -> Vars {
        let paths = ["ATLAS", "AZURE", "CCX", "CLAZAR", "GCP", "ADMIN"]
            .map(|name| (format!("{name}_VAULT_PATH"), format!("monthend/{}", name.to_lowercase())));
        let source = Vars::from_iter([("SECRETS", "vault".to_owned()), ("VAULT_ADDR", self.vault_url())]);
        let wrong = WRONG.map(|name| (name, "wrong"));
        let vars = Vars::from_iter(more.iter().copied()).or(&source).or(&Vars::from_iter(paths));
        vars.or(&Vars::from_iter(wrong)).or(self.cloud.vars())
    }

    pub(crate) async fn with_vault(
        &self,
        more: &[(&str, &str)],
        function: &str,
        event: Value,
    ) -> Result<Value, Failure> {
        Functions::new(self.vault_vars(more)).invoke(function, &event, "test", now()).await
    }

    /// The credentials of Atlas are found, and are right.
    async fn opens_atlas(&self, more: &[(&str, &str)]) {
        let august = json!({"month": "2026-08", "dry_run": true});
        let report = self.with_vault(more, "fetch-atlas", august).await.unwrap();
        assert_eq!(report["documents"].as_array().unwrap().len(), 1, "{report}");
    }

    async fn set_password(&self, vars: &[(&str, &str)], password: &str) -> Result<(), String> {
        let vars = self.vault_vars(vars);
        let place = SecretPlace::from_vars(&vars, "ADMIN_SECRET_ARN").map_err(|error| error.to_string())?;
        let secret = ::console::admin_secret(&SecretString::from(password)).unwrap();
        Secrets::replace(&vars, &self.aws, &place, &secret).await.map_err(|error| error.to_string())
    }

    /// What the console answers to the admin with that password.
    async fn sign_in(&self, password: &str) -> Value {
        let request = include_str!("../events/console-usage-report.json");
        let mut request: Value = serde_json::from_str(request).unwrap();
        let pair = STANDARD.encode(format!("admin:{password}"));
        request["headers"]["authorization"] = json!(format!("Basic {pair}"));
        let app = ::console::App::connect(&self.vault_vars(&VAULT_CREDENTIALS)).await.unwrap();
        let answer = Box::pin(::console::invoke(::console::router(app), &request)).await.unwrap();
        answer["statusCode"].clone()
    }
}

pub(crate) async fn world() -> World {
    World::with(example(), false, quick()).await
}

#[tokio::test]
async fn an_approle_opens_the_months_invoices() {
    let world = World::new(example()).await;
    let report = world.with_vault(&VAULT_CREDENTIALS, "fetch-atlas", json!({})).await.unwrap();
    assert_eq!(report["fetched"], 5);
    world.quiet().await;
    assert_eq!(world.invoices().await.len(), 5);
    assert!(!world.keys("allocations/").await.is_empty());
    // one login and one document, however much is fetched then
    let requests = ["POST /v1/auth/approle/login", "GET /v1/secret/data/monthend/atlas"];
    assert_eq!(world.vault().requests(), requests);
}

#[tokio::test]
async fn a_token_opens_the_usage_reports() {
    let world = world().await;
    let report = world.with_vault(&[VAULT_TOKEN], "fetch-ccx", json!({})).await.unwrap();
    assert_eq!((&report["fetched"], &report["failed"]), (&json!(2), &json!([])));
    assert_eq!(world.vault().requests(), ["GET /v1/secret/data/monthend/ccx"]);
    assert_eq!(world.keys("certificates/ccx/").await.len(), 2);
}

#[tokio::test]
async fn every_other_provider_finds_its_secret() {
    let world = metered(false).await;
    for function in ["fetch-azure", "fetch-gcp"] {
        let october = json!({"month": "2026-10", "dry_run": true});
        let report = world.with_vault(&VAULT_CREDENTIALS, function, october).await.unwrap();
        assert_eq!(report["failed"], json!([]), "{function}");
    }
    world.usage("2026/09/01/00/s.json", &[("c1", "cpu", "5")]).await;
    world.count().await;
    let [role_id, secret_id] = VAULT_CREDENTIALS;
    let vars = [role_id, secret_id, ("ALLOW_EMPTY_MONTHS", "true")];
    world.with_vault(&vars, "meter-clazar", json!({})).await.unwrap();
    assert_eq!(world.billed().into_values().collect::<Vec<_>>(), ["5"]);
    let read: BTreeSet<_> =
        world.vault().requests().into_iter().filter(|request| request.starts_with("GET")).collect();
    let expected = ["azure", "clazar", "gcp"].map(|name| format!("GET /v1/secret/data/monthend/{name}"));
    assert_eq!(read, BTreeSet::from(expected));
}

#[tokio::test]
async fn names_may_be_written_small_and_the_newest_version_counts() {
    let world = world().await;
    let [(_, public), (_, private), _] = ATLAS_CREDENTIALS;
    let small = [VAULT_TOKEN, ("ATLAS_VAULT_PATH", "/team/atlas/")];
    world.vault().put("team/atlas", json!({"public_key": public, "private_key": "of an earlier version"}));
    let refused = world.with_vault(&small, "fetch-atlas", json!({})).await.unwrap_err();
    assert!(refused.message.contains("check PUBLIC_KEY and PRIVATE_KEY"), "{refused}");
    world.vault().put("team/atlas", json!({"public_key": public, "private_key": private}));
    world.opens_atlas(&small).await;
    // the exact name wins
    let both = json!({"public_key": "wrong", "PUBLIC_KEY": public, "PRIVATE_KEY": private});
    world.vault().put("team/atlas", both);
    world.opens_atlas(&small).await;
}

#[tokio::test]
async fn an_engine_of_version_1_and_a_namespace_are_said_by_variables() {
    let world = world().await;
    world.opens_atlas(&[VAULT_TOKEN, ("VAULT_KV", "1"), ("VAULT_MOUNT", "kv")]).await;
    assert_eq!(world.vault().requests(), ["GET /v1/kv/monthend/atlas"]);
    world.vault().move_into("finance/eu");
    let [role_id, secret_id] = VAULT_CREDENTIALS;
    world.opens_atlas(&[role_id, secret_id, ("VAULT_NAMESPACE", "finance/eu/")]).await;
}

#[tokio::test]
async fn what_opens_vault_can_stand_in_secrets_manager() {
    let world = world().await;
    for secret in [secrets::VAULT_SECRET_ARN, "monthend/vault"] {
        world.opens_atlas(&[("VAULT_SECRET_ARN", secret)]).await;
    }
    let logins = world.vault().requests().iter().filter(|request| request.contains("approle")).count();
    assert_eq!(logins, 2);
    // a variable wins over the secret
    let (secret_id, _) = VAULT_CREDENTIALS[1];
    let wrong = [("VAULT_SECRET_ARN", "monthend/vault"), (secret_id, "used-up")];
    let refused = world.with_vault(&wrong, "fetch-atlas", json!({})).await.unwrap_err();
    assert!(refused.message.starts_with("Vault refused the login"), "{refused}");
    let none = [("VAULT_SECRET_ARN", "nope")];
    let refused = world.with_vault(&none, "fetch-atlas", json!({})).await.unwrap_err();
    assert!(refused.message.starts_with("failed to read the secret nope: ResourceNotFound"), "{refused}");
}

#[tokio::test]
async fn the_consoles_password_is_written_to_vault_and_read_from_it() {
    let world = World::new(local::sandbox::Organisation::recorded([])).await;
    assert_eq!(world.sign_in(PASSWORD).await, 503, "nobody gets in before there is a password");
    world.set_password(&[VAULT_TOKEN], "a password of before").await.unwrap();
    world.set_password(&[VAULT_TOKEN], PASSWORD).await.unwrap();
    assert_eq!(world.sign_in(PASSWORD).await, 200);
    assert_eq!(world.sign_in("a password of before").await, 401);
    assert_eq!(world.vault().newest("monthend/admin").unwrap().0, 2, "a version for each");

    // a deleted version counts, too
    world.vault().delete("monthend/admin");
    assert_eq!(world.sign_in(PASSWORD).await, 503);
    world.set_password(&[VAULT_TOKEN], PASSWORD).await.unwrap();
    assert_eq!(world.vault().newest("monthend/admin").unwrap().0, 3);
    assert_eq!(world.sign_in(PASSWORD).await, 200);

    let reader = world.set_password(&VAULT_CREDENTIALS, PASSWORD).await.unwrap_err();
    let told = "Vault does not allow secret/data/monthend/admin (403 permission denied): the token must be in force and its \
                policy must give create and update there; check VAULT_MOUNT, VAULT_NAMESPACE and ADMIN_VAULT_PATH";
    assert_eq!(reader, told);
    // somebody else was faster: the first answer is that to the look at what stands there
    let faster = VaultFault::Message("check-and-set parameter did not match the current version".into());
    world.vault().fail("", FaultKind::DelayMs(0), 1);
    world.vault().fail("", faster, 1);
    let late = world.set_password(&[VAULT_TOKEN], PASSWORD).await.unwrap_err();
    assert!(late.contains("was written by somebody else meanwhile"), "{late}");

    let plain = [VAULT_TOKEN, ("VAULT_KV", "1"), ("VAULT_MOUNT", "kv")];
    world.set_password(&plain, "another password").await.unwrap();
    assert_eq!(world.sign_in("another password").await, 200);
}

/// A server with a certificate of the authority of `ca.pem`, before Vault.
async fn with_tls(vault: &str) -> String {
    let certificate = CertificateDer::from_pem_slice(&fixture("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(&fixture("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let vault = vault.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, vault) = (acceptor.clone(), vault.clone());
            tokio::spawn(async move {
                // who does not trust the certificate goes away
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut upstream = TcpStream::connect(vault).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut upstream).await;
            });
        }
    });
    url
}

#[tokio::test]
async fn a_certificate_of_ones_own_authority_is_trusted_if_it_is_given() {
    let world = World::listening(example(), false, quick()).await;
    let url = with_tls(&world.vault_url()).await;
    let authority = String::from_utf8(fixture("ca.pem")).unwrap();
    let on_one_line = authority.replace('\n', "\\n");
    let (file, no_certificate) = (fixture_path("ca.pem"), fixture_path("server.key"));
    for given in [&authority, &on_one_line, &file] {
        world.opens_atlas(&[VAULT_TOKEN, ("VAULT_ADDR", &url), ("VAULT_CACERT", given)]).await;
    }
    let before = world.vault().requests().len();
    for (given, expected) in [
        ("", "invalid peer certificate: UnknownIssuer; check VAULT_ADDR, VAULT_CACERT and the network"),
        ("/nowhere/ca.pem", "VAULT_CACERT is not usable: failed to read /nowhere/ca.pem: No such file"),
        ("-----BEGIN CERTIFICATE-----\\nnonsense", "VAULT_CACERT is not usable: "),
        (no_certificate.as_str(), "VAULT_CACERT is not usable: there is no certificate in it; set it to"),
    ] {
        let vars =
            [VAULT_TOKEN, ("VAULT_ADDR", url.as_str()), ("VAULT_CACERT", given), ("HTTP_ATTEMPTS", "1")];
        let message = world.with_vault(&vars, "fetch-atlas", json!({})).await.unwrap_err().message;
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(world.vault().requests().len(), before, "nothing was sent to a server that is not trusted");
}

/// Names of members, and of those within them; those of the secret itself are its own.
fn names(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}/{name}");
        found.insert(path.clone());
        if path != "/data/data" {
            names(value, &path, found);
        }
    }
}

#[tokio::test]
async fn the_sandbox_answers_as_vault_does() {
    let world = World::listening(example(), false, quick()).await;
    let client = reqwest::Client::new();
    let [(_, role_id), (_, secret_id)] = VAULT_CREDENTIALS;
    let ids = json!({"role_id": role_id, "secret_id": secret_id});
    let url = |path: &str| format!("{}/v1/{path}", world.vault_url());
    let login = client.post(url("auth/approle/login")).header("x-vault-request", "true").json(&ids);
    let login: Value = login.send().await.unwrap().json().await.unwrap();
    let token = login["auth"]["client_token"].as_str().unwrap();
    let read = client.get(url("secret/data/monthend/atlas"));
    let read = read.header("x-vault-request", "true").header("x-vault-token", token);
    let read: Value = read.send().await.unwrap().json().await.unwrap();
    for (recorded, answer) in [("approle_login_200.json", login), ("kv2_read_200.json", read)] {
        let recorded_answer: Value = serde_json::from_slice(&fixture(recorded)).unwrap();
        let (mut expected, mut found) = (BTreeSet::new(), BTreeSet::new());
        names(&recorded_answer, "", &mut expected);
        names(&answer, "", &mut found);
        assert_eq!(found, expected, "{recorded}");
    }
}

#[test]
fn the_template_lets_every_secret_stand_in_vault() {
    let template: serde_yaml_ng::Value = serde_yaml_ng::from_str(include_str!("../template.yaml")).unwrap();
    // what a reference is about
    let referred = |value: &serde_yaml_ng::Value| match value {
        serde_yaml_ng::Value::Tagged(tagged) => tagged.value.as_str().unwrap_or_default().to_owned(),
        plain => panic!("{plain:?} is no reference"),
    };
    let mut functions = BTreeSet::new();
    for (name, resource) in template["Resources"].as_mapping().unwrap() {
        let Some(variables) = resource["Properties"]["Environment"]["Variables"].as_mapping() else {
            continue;
        };
        for variable in variables.keys().filter_map(serde_yaml_ng::Value::as_str) {
            let Some(secret) = variable.strip_suffix("_SECRET_ARN") else { continue };
            assert_eq!(referred(&variables["SECRETS"]), "SecretsSource");
            let path = referred(&variables[format!("{secret}_VAULT_PATH").as_str()]);
            assert_eq!(path, format!("${{VaultFolder}}/{}", secret.to_lowercase()));
            functions.insert(name.as_str().unwrap().to_owned());
        }
    }
    let expected = [
        "Bill",
        "Console",
        "FetchAtlas",
        "FetchAzure",
        "FetchCcx",
        "FetchGcp",
        "FetchPrometheus",
        "MeterClazar",
    ];
    assert_eq!(functions, BTreeSet::from(expected.map(str::to_owned)));
    let all = &template["Globals"]["Function"]["Environment"]["Variables"];
    for (variable, parameter) in [
        ("VAULT_ADDR", "VaultAddr"),
        ("VAULT_NAMESPACE", "VaultNamespace"),
        ("VAULT_MOUNT", "VaultMount"),
        ("VAULT_KV", "VaultKv"),
        ("VAULT_APPROLE_MOUNT", "VaultApproleMount"),
        ("VAULT_SECRET_ARN", "VaultSecretArn"),
    ] {
        assert_eq!(referred(&all[variable]), parameter);
        assert!(template["Parameters"][parameter].is_mapping(), "{parameter}");
    }
}
