//! The report API and the sign-in, over HTTP: who gets in, who does not, and what they are told.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::routing::get;
use chrono::{TimeDelta, Utc};
use cloud::secrets::{SecretPlace, Secrets};
use cloud::vars::Vars;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use local::sandbox::{Organisation, events_of_datastores};
use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::world::{World, quick};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
pub(crate) const NEWER: &str = "/api/admin/datastores/billing/usage/json?from=2026-10-01&to=2026-10-31";

/// The sandbox's month, and a password.
pub(crate) async fn console(vars: Vars) -> World {
    let world = World::listening(Organisation::recorded([]), true, vars.or(&quick())).await;
    for (key, text) in events_of_datastores("2026-10".parse().unwrap()) {
        world.bucket.overwrite(&key, text, "application/jsonl").await.unwrap();
    }
    world.quiet().await;
    set_password(&world, PASSWORD).await;
    world
}

/// The quarter of an hour, in which failures are counted: what has to lie in one is told again if it does not.
pub(crate) fn quarter() -> i64 {
    Utc::now().timestamp() / 900
}

async fn set_password(world: &World, password: &str) {
    let secret = ::console::admin_secret(&SecretString::from(password)).unwrap();
    let place = SecretPlace::from_vars(world.cloud.vars(), "ADMIN_SECRET_ARN").unwrap();
    Secrets::replace(world.cloud.vars(), &world.aws, &place, &secret).await.unwrap();
}

impl World {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.cloud.endpoints().console)
    }

    pub(crate) async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let request = client.get(self.url(path));
        headers
            .iter()
            .fold(request, |request, (name, value)| request.header(*name, *value))
            .send()
            .await
            .unwrap()
    }

    pub(crate) async fn as_admin(&self, path: &str) -> Response {
        reqwest::Client::new().get(self.url(path)).basic_auth("admin", Some(PASSWORD)).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, cookie: &str, form: &[(&str, &str)]) -> Response {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        client.post(self.url(path)).header(COOKIE, cookie).form(form).send().await.unwrap()
    }
}

pub(crate) async fn error(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["error"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_a_report_has_forgotten_stands_in_its_head() {
    let world = console(Vars::default()).await;
    let event = |kind: &str, day: &str| {
        json!({
            "event_id": kind, "time": format!("2020-{day}T00:00:00Z"), "type": kind, "datastore": "old", "customer_id": "acme",
            "datastore_type": "galera", "vendor": "mariadb",
        })
    };
    let lines = format!("{}\n{}\n", event("datastore.created", "01-10"), event("datastore.deleted", "02-10"));
    world.bucket.overwrite("datastores/2020-01/old.jsonl", lines, "application/jsonl").await.unwrap();
    world.quiet().await;
    let csv = world.as_admin("/api/admin/datastores/billing/usage/csv?from=2020-01-01&to=2020-01-31").await;
    assert_eq!(csv.headers()["monthend-forgotten-datastores"], "1");
    let complete_from = csv.headers()["monthend-complete-from"].to_str().unwrap().to_owned();
    assert!(complete_from.parse::<chrono::NaiveDate>().unwrap() > "2020-02-10".parse().unwrap());
    assert_eq!(csv.text().await.unwrap().lines().count(), 1, "the columns keep their shape");
    let json = world.as_admin("/api/admin/datastores/billing/json?start=2020-01-01&end=2020-01-31").await;
    let report: Value = json.json().await.unwrap();
    assert_eq!(report["forgotten"], json!({"datastores": 1, "complete_from": complete_from}));
}

#[tokio::test]
async fn both_spellings_give_the_same_figures_as_json_and_csv() {
    let world = console(Vars::default()).await;
    let newer = world.as_admin(NEWER).await;
    assert_eq!(newer.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(
        newer.headers()[CONTENT_DISPOSITION],
        "attachment; filename=\"datastore-usage_2026-10-01_2026-10-31.json\""
    );
    assert_eq!(newer.headers()["monthend-held-files"], "0");
    assert!(!newer.headers().contains_key("monthend-forgotten-datastores"), "nothing is missing");
    let newer = newer.text().await.unwrap();
    let older = world.as_admin("/api/admin/datastores/billing/json?start=2026-10-01&end=2026-10-31").await;
    assert_eq!(older.text().await.unwrap(), newer);

    let csv = world.as_admin("/api/admin/datastores/billing/usage/csv?from=2026-10-01&to=2026-10-31").await;
    assert_eq!(csv.headers()[CONTENT_TYPE], "text/csv; charset=utf-8; header=present");
    let csv = csv.text().await.unwrap();
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<std::collections::BTreeMap<String, String>> =
        rows.deserialize().map(Result::unwrap).collect();
    let report: Value = serde_json::from_str(&newer).unwrap();
    let mut expected = Vec::new();
    for datastore in report["datastores"].as_array().unwrap() {
        for usage in datastore["instances_types_usage"].as_array().unwrap() {
            expected.push((
                datastore["datastore"].clone(),
                usage["instances_type"].clone(),
                usage["hours"].to_string(),
            ));
        }
        for usage in datastore["volumes_types_usage"].as_array().unwrap() {
            expected.push((
                datastore["datastore"].clone(),
                usage["volume_type"].clone(),
                usage["gib_per_hours"].to_string(),
            ));
        }
    }
    let figure = |row: &std::collections::BTreeMap<String, String>| {
        let name = if row["resource"] == "instance" { "hours" } else { "gib_per_hours" };
        (json!(row["datastore"]), json!(row["resource_type"]), row[name].clone())
    };
    assert_eq!(rows.iter().map(figure).collect::<Vec<_>>(), expected);
    let sum: f64 = rows.iter().filter_map(|row| row["network_egress_usage_gib"].parse::<f64>().ok()).sum();
    assert_eq!(format!("{sum:.2}"), report["network_egress_usage_gib"].to_string());

    // a day, and until now
    let day = world.as_admin("/api/admin/datastores/billing/usage/csv?from=2026-10-31&to=2026-10-31").await;
    assert!(day.text().await.unwrap().contains("instance,c16.m64,72,"), "three nodes for a day");
    for until_now in ["", "?to=2099-01-01"] {
        let now = world.as_admin(&format!("/api/admin/datastores/billing/usage/json{until_now}")).await;
        assert_eq!(now.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn the_report_and_the_errors_are_what_the_description_says() {
    let world = console(Vars::default()).await;
    let description: Value = world.ask("/api/openapi.json", &[]).await.json().await.unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    let schema = |name: &str| {
        let mut schema = description["components"]["schemas"][name].clone();
        schema["components"] = description["components"].clone();
        jsonschema::validator_for(&schema).unwrap()
    };
    let valid = |name: &str, document: &Value| {
        let errors: Vec<_> = schema(name)
            .iter_errors(document)
            .map(|error| format!("{} {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new());
    };
    valid("UsageReport", &world.as_admin(NEWER).await.json().await.unwrap());
    let refused: Value = world.ask(NEWER, &[]).await.json().await.unwrap();
    valid("Error", &refused);
    for (path, operations) in description["paths"].as_object().unwrap() {
        let path = path.replace("{format}", "json");
        let status = world.as_admin(&path).await.status().as_u16().to_string();
        assert!(operations["get"]["responses"][&status].is_object(), "{path} answers {status}");
    }
}

#[tokio::test]
async fn wrong_questions_are_told_what_is_wrong() {
    let world = console(Vars::default()).await;
    let base = "/api/admin/datastores/billing";
    for (path, expected) in [
        (
            "/usage/json?from=2026-10-32",
            "'from' is no date: '2026-10-32', write it as YYYY-MM-DD, for example 2026-10-31",
        ),
        (
            "/usage/json?from=2026-10-02&to=2026-10-01",
            "the last day 2026-10-01 must not be before the first day 2026-10-02",
        ),
        ("/usage/xml?from=2026-10-01&to=2026-10-02", "'xml' is no type of report, use json or csv"),
        ("/usage/json?start=2026-10-01", "'start' is no parameter here, give from and to"),
        ("/usage/json?from=2026-10-01&from=2026-10-02", "'from' is given twice"),
        ("/usage/json?from=9999-01-01", "the last day 20"),
        ("/json?start=2026-10-01", "'end' is missing: give start=YYYY-MM-DD&end=YYYY-MM-DD"),
        ("/json?start=&end=", "'start' is no date: ''"),
    ] {
        let (status, told) = error(world.as_admin(&format!("{base}{path}")).await).await;
        assert!(status == 400 && told.starts_with(expected), "{path}: {status} {told}");
    }
    assert_eq!(error(world.as_admin("/api/nothing").await).await, (404, "there is nothing here".into()));
}

#[tokio::test]
async fn without_the_right_credentials_there_is_no_data() {
    let world = console(Vars::default()).await;
    let response = world.ask(NEWER, &[]).await;
    let schemes: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().collect();
    assert_eq!(schemes, ["Basic realm=\"monthend\", charset=\"UTF-8\", Bearer realm=\"monthend\""]);
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    for authorization in [
        "Basic",
        "Basic !!!",
        "Basic YWRtaW46d3Jvbmc=",
        "Bearer x.y.z",
        "Digest x",
        "bearer",
        "Basic YWRtaW4=",
    ] {
        let response = world.ask(NEWER, &[("authorization", authorization)]).await;
        assert_eq!(error(response).await, (401, "the credentials are not right".into()), "{authorization}");
    }
    let another =
        reqwest::Client::new().get(world.url(NEWER)).basic_auth("root", Some(PASSWORD)).send().await.unwrap();
    assert_eq!(another.status(), StatusCode::UNAUTHORIZED);
    for cookie in ["__Host-monthend=", "__Host-monthend=eyJhbGciOiJub25lIn0.e30.", "monthend=x"] {
        assert_eq!(
            world.ask(NEWER, &[("cookie", cookie)]).await.status(),
            StatusCode::UNAUTHORIZED,
            "{cookie}"
        );
    }
    let headers = world.as_admin(NEWER).await;
    assert_eq!(headers.status(), StatusCode::OK);
    for (name, value) in
        [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("cache-control", "no-store")]
    {
        assert_eq!(headers.headers()[name], value);
    }
    assert!(headers.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
}

#[tokio::test]
async fn who_fails_too_often_must_wait() {
    let world = console(Vars::default()).await;
    let from = |address: &str, authorization: &str| {
        json!({
            "version": "2.0", "rawPath": "/api/admin/datastores/billing/usage/json", "rawQueryString": "",
            "headers": {"authorization": authorization},
            "requestContext": {"http": {"method": "GET", "path": "/api/admin/datastores/billing/usage/json", "sourceIp": address}},
        })
    };
    let status = async |event: Value| world.invoke("console", event).await.unwrap()["statusCode"].clone();
    let right = "Basic YWRtaW46Y29ycmVjdCBob3JzZSBiYXR0ZXJ5IHN0YXBsZQ==";
    let (mut address, mut refused) = (String::new(), Value::Null);
    for last in 100..103 {
        let begun = quarter();
        address = format!("203.0.113.{last}");
        for _ in 0..10 {
            assert_eq!(status(from(&address, "Basic YWRtaW46d3Jvbmc=")).await, 401);
        }
        refused = world.invoke("console", from(&address, right)).await.unwrap();
        if begun == quarter() {
            break;
        }
    }
    assert_eq!(refused["statusCode"], 429, "{address}");
    assert!(refused["headers"]["retry-after"].as_str().unwrap().parse::<u64>().unwrap() <= 900);
    assert_eq!(status(from("203.0.113.8", right)).await, 200);
}

#[tokio::test]
async fn a_session_begins_with_the_form_and_ends_with_it() {
    let world = console(Vars::default()).await;
    assert_eq!(world.ask("/", &[]).await.headers()[LOCATION], "/auth/admin/");
    assert_eq!(world.ask("/auth/admin/", &[]).await.headers()[LOCATION], "/auth/admin/sign-in");
    let form = world.ask("/auth/admin/sign-in", &[]).await;
    let (form_cookie, csrf) = (cookie(&form, "__Host-monthend-form"), hidden(&form.text().await.unwrap()));
    assert_eq!(form_cookie, format!("__Host-monthend-form={csrf}"));

    let sign_in = async |cookie: &str, password: &str, csrf: &str| {
        world
            .post("/auth/admin/sign-in", cookie, &[("user", "admin"), ("password", password), ("csrf", csrf)])
            .await
    };
    for (cookie, password, csrf, status, told) in [
        (form_cookie.as_str(), "wrong", csrf.as_str(), 401, "User or password is not right."),
        (&form_cookie, PASSWORD, "another", 403, "open for too long"),
        ("", PASSWORD, "", 403, "open for too long"),
    ] {
        let response = sign_in(cookie, password, csrf).await;
        assert_eq!(response.status().as_u16(), status);
        let page = response.text().await.unwrap();
        assert!(
            page.contains(told) && page.contains("value=\"admin\"") && !page.contains(password),
            "{page}"
        );
    }

    let signed = sign_in(&form_cookie, PASSWORD, &csrf).await;
    assert_eq!(
        (signed.status().as_u16(), &signed.headers()[LOCATION]),
        (303, &"/auth/admin/".parse().unwrap())
    );
    let set = signed.headers().get_all(SET_COOKIE).iter().next().unwrap().to_str().unwrap().to_owned();
    assert!(set.ends_with("; Path=/; Max-Age=28800; HttpOnly; Secure; SameSite=Lax"), "{set}");
    let session = cookie(&signed, "__Host-monthend");
    let page = world.ask("/auth/admin/", &[("cookie", &session)]).await.text().await.unwrap();
    assert!(page.contains("Billing report"), "{page}");
    assert_eq!(world.ask(NEWER, &[("cookie", &session)]).await.status(), StatusCode::OK);

    // wrong credentials are not made good by a right cookie, and do not spoil it for the pages
    let both = [("cookie", session.as_str()), ("authorization", "Basic YWRtaW46d3Jvbmc=")];
    assert_eq!(world.ask(NEWER, &both).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(world.ask("/auth/admin/", &both).await.status(), StatusCode::OK);

    let download = "/auth/admin/billing-report/download";
    let csv = world
        .ask(&format!("{download}?start=2026-10-01&end=2026-10-31&format=csv"), &[("cookie", &session)])
        .await;
    assert_eq!(
        csv.headers()[CONTENT_DISPOSITION],
        "attachment; filename=\"datastore-usage_2026-10-01_2026-10-31.csv\""
    );
    let wrong = world
        .ask(&format!("{download}?start=2026-10-05&end=2026-10-01&format=json"), &[("cookie", &session)])
        .await;
    assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    let page = wrong.text().await.unwrap();
    for kept in [
        "must not be before the first day",
        "value=\"2026-10-05\"",
        "value=\"2026-10-01\"",
        "value=\"json\" checked",
    ] {
        assert!(page.contains(kept), "{kept}: {page}");
    }

    let other = world.post("/auth/admin/sign-out", &session, &[("csrf", &csrf)]).await;
    assert_eq!(other.status(), StatusCode::FORBIDDEN);
    let csrf = hidden(&world.ask("/auth/admin/", &[("cookie", &session)]).await.text().await.unwrap());
    let out = world.post("/auth/admin/sign-out", &session, &[("csrf", &csrf)]).await;
    assert_eq!(out.headers()[LOCATION], "/auth/admin/sign-in");
    assert_eq!(cookie(&out, "__Host-monthend"), "__Host-monthend=");
}

#[tokio::test]
async fn before_there_is_a_password_nobody_gets_in() {
    let world = World::listening(Organisation::recorded([]), false, quick()).await;
    let (status, told) = error(world.as_admin(NEWER).await).await;
    assert_eq!(
        (status, told.as_str()),
        (503, "no password is set; set one with: monthend admin set-password")
    );
    for short in ["", "short"] {
        assert!(::console::admin_secret(&SecretString::from(short)).is_err());
    }
}

fn cookie(response: &Response, name: &str) -> String {
    let texts = response.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let mut cookies = texts.map(|text| text.split(';').next().unwrap());
    cookies.find(|cookie| cookie.starts_with(&format!("{name}="))).unwrap().to_owned()
}

fn hidden(page: &str) -> String {
    page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// An issuer of tokens, with keys made for this test.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Vec<Jwk>>>,
}

impl Issuer {
    async fn start() -> Self {
        let keys: Arc<Mutex<Vec<Jwk>>> = Arc::default();
        let shown = keys.clone();
        let answer = move || async move { Json(json!({"keys": *shown.lock().unwrap()})) };
        let router = axum::Router::new().route("/.well-known/jwks.json", get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, keys }
    }

    fn publish(&self, id: &str, algorithm: Algorithm, key: &EncodingKey) {
        let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        self.keys.lock().unwrap().push(jwk);
    }

    fn claims(&self) -> Value {
        let now = Utc::now();
        json!({
            "iss": self.url, "aud": "monthend", "sub": "ada", "roles": ["viewer", "admin"],
            "iat": now.timestamp(), "exp": (now + TimeDelta::minutes(5)).timestamp(),
        })
    }
}

fn rsa() -> EncodingKey {
    use aws_lc_rs::encoding::AsDer as _;
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    EncodingKey::from_rsa_der(&der.as_ref()[26..]) // the RSAPrivateKey within the PKCS #8 document
}

fn elliptic() -> EncodingKey {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    let random = aws_lc_rs::rand::SystemRandom::new();
    EncodingKey::from_ec_der(
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap().as_ref(),
    )
}

fn token(algorithm: Algorithm, id: &str, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
    format!("Bearer {}", jsonwebtoken::encode(&header, claims, key).unwrap())
}

#[tokio::test]
async fn tokens_of_the_issuer_open_the_api_to_admins() {
    let issuer = Issuer::start().await;
    let vars = Vars::from_iter([("OIDC_ISSUER", issuer.url.as_str()), ("OIDC_AUDIENCE", "monthend")]);
    let world = console(vars).await;
    let (rsa, elliptic) = (rsa(), elliptic());
    issuer.publish("r1", Algorithm::RS256, &rsa);
    issuer.publish("e1", Algorithm::ES256, &elliptic);
    let status = async |token: &str| world.ask(NEWER, &[("authorization", token)]).await.status().as_u16();
    let with = |member: &str, value: Value| {
        let mut claims = issuer.claims();
        claims[member] = value;
        claims
    };
    let signed = |claims: &Value| token(Algorithm::ES256, "e1", &elliptic, claims);
    assert_eq!(status(&token(Algorithm::RS256, "r1", &rsa, &issuer.claims())).await, 200);
    assert_eq!(status(&signed(&issuer.claims())).await, 200);
    assert_eq!(status(&signed(&with("roles", json!("reader admin")))).await, 200);
    assert_eq!(status(&signed(&with("aud", json!(["other", "monthend"])))).await, 200);
    // times may have decimals
    let soon = Utc::now() + TimeDelta::minutes(3);
    for (member, time) in [("exp", soon), ("iat", Utc::now()), ("nbf", Utc::now())] {
        let time = json!(format!("{}.5", time.timestamp()).parse::<serde_json::Number>().unwrap());
        assert_eq!(status(&signed(&with(member, time.clone()))).await, 200, "{member} {time}");
    }
    // an extension that must be understood is not
    let header =
        Header { kid: Some("e1".into()), crit: Some(vec!["b64".into()]), ..Header::new(Algorithm::ES256) };
    let critical = jsonwebtoken::encode(&header, &issuer.claims(), &elliptic).unwrap();
    assert_eq!(status(&format!("Bearer {critical}")).await, 401);
    // known, and no admin
    for roles in [json!(["viewer"]), json!("administrator"), Value::Null, json!({"admin": true})] {
        assert_eq!(status(&signed(&with("roles", roles.clone()))).await, 403, "{roles}");
    }
    let past = json!((Utc::now() - TimeDelta::minutes(3)).timestamp());
    let future = json!((Utc::now() + TimeDelta::minutes(3)).timestamp());
    for (member, value) in [
        ("exp", past),
        ("exp", Value::Null),
        ("nbf", future),
        ("aud", json!("other")),
        ("iss", json!("https://evil.example")),
    ] {
        assert_eq!(status(&signed(&with(member, value.clone()))).await, 401, "{member} {value}");
    }
}

#[tokio::test]
async fn forged_tokens_open_nothing() {
    let issuer = Issuer::start().await;
    let vars = Vars::from_iter([("OIDC_ISSUER", issuer.url.as_str()), ("OIDC_AUDIENCE", "monthend")]);
    let world = console(vars).await;
    let (ours, other) = (elliptic(), elliptic());
    issuer.publish("e1", Algorithm::ES256, &ours);
    let status = async |token: &str| world.ask(NEWER, &[("authorization", token)]).await.status().as_u16();
    let claims = issuer.claims();
    let good = token(Algorithm::ES256, "e1", &ours, &claims);
    // another key; the public key taken for a shared secret; no signature; no such key
    assert_eq!(status(&token(Algorithm::ES256, "e1", &other, &claims)).await, 401);
    let public = serde_json::to_vec(&issuer.keys.lock().unwrap()[0]).unwrap();
    assert_eq!(
        status(&token(Algorithm::HS256, "e1", &EncodingKey::from_secret(&public), &claims)).await,
        401
    );
    let (unsigned, _) = good.rsplit_once('.').unwrap();
    assert_eq!(status(&format!("{unsigned}.")).await, 401);
    assert_eq!(status(&token(Algorithm::ES256, "e2", &other, &claims)).await, 401);
    assert_eq!(status(&good).await, 200);
}

#[tokio::test]
async fn an_issuer_that_cannot_be_asked_opens_nothing_and_closes_nothing_else() {
    let vars = Vars::from_iter([("OIDC_ISSUER", "http://127.0.0.1:9"), ("OIDC_AUDIENCE", "monthend")]);
    let world = console(vars).await;
    let key = elliptic();
    let claims = json!({"iss": "http://127.0.0.1:9", "aud": "monthend", "sub": "x", "exp": 4_000_000_000u64});
    let response =
        world.ask(NEWER, &[("authorization", &token(Algorithm::ES256, "e1", &key, &claims))]).await;
    assert_eq!(error(response).await.0, 503);
    assert_eq!(world.as_admin(NEWER).await.status(), StatusCode::OK);
}
