//! The console in a real headless Chromium, as `tools/test-browser` runs it: by mouse, by keyboard, on a phone, without JavaScript.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use cloud::vars::Vars;
use fantoccini::key::Key;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::console::{PASSWORD, console};
use crate::doors::ports;
use crate::world::World;

struct Browser {
    client: Client,
    downloads: tempfile::TempDir,
    world: World,
    _driver: Child,
}

/// A window of this size, with or without JavaScript, on the sandbox's month.
async fn browser(width: u32, height: u32, javascript: bool) -> Browser {
    let world = console(Vars::default()).await;
    let downloads = tempfile::tempdir().unwrap();
    let (driver, port) = driver().await;
    let capabilities = json!({"goog:chromeOptions": {
        "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--lang=en-US",
            // a name that somebody else owns, and that leads here
            "--host-resolver-rules=MAP evil.example 127.0.0.1", format!("--window-size={width},{height}")],
        "prefs": {
            "download.default_directory": downloads.path(),
            "profile.managed_default_content_settings.javascript": if javascript { 1 } else { 2 },
        },
    }});
    let Value::Object(capabilities) = capabilities else { unreachable!() };
    let builder = ClientBuilder::new(HttpConnector::new()).capabilities(capabilities).clone();
    let client = builder.connect(&format!("http://127.0.0.1:{port}")).await.unwrap();
    client.set_window_rect(0, 0, width, height).await.unwrap();
    Browser { client, downloads, world, _driver: driver }
}

/// A driver on a free port; it dies with the test. Several that start at once may choose the same port: those that lost try again.
async fn driver() -> (Child, u16) {
    let mut said = String::new();
    for _ in 0..10 {
        let spawned =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut driver = spawned.expect("there is no chromedriver: tools/test-browser installs it");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(port) =
                line.split("on port ").nth(1).filter(|_| line.contains("started successfully"))
            {
                let port = port.trim_end_matches('.').parse().unwrap();
                tokio::spawn(
                    async move { while lines.next_line().await.is_ok_and(|line| line.is_some()) {} },
                );
                return (driver, port);
            }
            said += &format!("{line}\n");
        }
    }
    panic!("chromedriver did not start: {said}");
}

impl Browser {
    async fn open(&self, path: &str) {
        let console = &self.world.cloud.endpoints().console;
        self.client.goto(&format!("{console}{path}")).await.unwrap();
    }

    async fn find(&self, css: &str) -> fantoccini::elements::Element {
        self.client.wait().at_most(Duration::from_secs(10)).for_element(Locator::Css(css)).await.unwrap()
    }

    /// Waits until the page says this there: the page before may still be shown.
    async fn shows(&self, css: &str, expected: &str) {
        let mut said = String::new();
        for _ in 0..200 {
            if let Ok(element) = self.client.find(Locator::Css(css)).await
                && let Ok(text) = element.text().await
            {
                if text.contains(expected) {
                    return;
                }
                said = text;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{css} says '{said}', not '{expected}'");
    }

    async fn sign_in(&self, password: &str) {
        let user = self.find("input[name=user]").await;
        user.clear().await.unwrap();
        user.send_keys("admin").await.unwrap();
        self.find("input[name=password]").await.send_keys(password).await.unwrap();
        self.find("button[type=submit]").await.click().await.unwrap();
    }

    /// Presses keys, one after the other, wherever the focus is.
    async fn press(&self, keys: &[&str]) {
        for key in keys {
            self.client.active_element().await.unwrap().send_keys(key).await.unwrap();
        }
    }

    /// Goes on to a field by Tab. How many stops a field of a date has is the browser's business: month, day, year, and in some its calendar.
    async fn tab_to(&self, name: &str) {
        for _ in 0..8 {
            if self.focus().await == name {
                return;
            }
            self.press(&[&Key::Tab.to_string()]).await;
        }
        panic!("Tab does not lead to {name}, but to {}", self.focus().await);
    }

    /// What has the focus: its text or its name.
    async fn focus(&self) -> String {
        let script = "const e = document.activeElement; return e.innerText || e.name || e.tagName;";
        self.client.execute(script, vec![]).await.unwrap().as_str().unwrap().to_owned()
    }

    /// The downloaded file, once it is whole.
    async fn downloaded(&self, name: &str) -> String {
        let path = self.downloads.path().join(name);
        for _ in 0..500 {
            // the browser takes the name before it has the bytes
            if let Ok(text) = std::fs::read_to_string(&path)
                && !text.is_empty()
            {
                return text;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} was not downloaded: {:?}", files(self.downloads.path()));
    }

    async fn screenshot(&self, name: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Contrast, labels, landmarks and the like, as axe sees them.
    async fn assert_accessible(&self, page: &str) {
        let axe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/axe.js");
        let axe = std::fs::read_to_string(axe).expect("there is no axe: tools/test-browser installs it");
        self.client.execute(&axe, vec![]).await.unwrap();
        let script = "const done = arguments[arguments.length - 1]; \
                      axe.run().then(found => done(found.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' '))));";
        let violations = self.client.execute_async(script, vec![]).await.unwrap();
        assert_eq!(violations, json!([]), "{page}");
    }

    /// What the API gives for these days, which a download must be.
    async fn by_api(&self, format: &str, from: &str, to: &str) -> String {
        let console = &self.world.cloud.endpoints().console;
        let url = format!("{console}/api/admin/datastores/billing/usage/{format}?from={from}&to={to}");
        let request = reqwest::Client::new().get(url).basic_auth("admin", Some(PASSWORD));
        request.send().await.unwrap().text().await.unwrap()
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test]
#[ignore = "needs Chromium, which tools/test-browser installs"]
async fn a_person_signs_in_and_downloads_the_report_from_the_dialog() {
    let browser = browser(1200, 800, true).await;
    browser.open("/").await;
    browser.assert_accessible("sign-in").await;
    browser.sign_in("a wrong password").await;
    browser.shows("[role=alert]", "User or password is not right.").await;
    browser.assert_accessible("sign-in with an error").await;
    browser.screenshot("sign-in-refused").await;
    browser.sign_in(PASSWORD).await;
    browser.shows("h1", "Admin").await;
    browser.screenshot("admin").await;

    browser.find("details.menu summary").await.click().await.unwrap();
    browser.screenshot("admin-menu").await;
    browser.find("#open-billing-report").await.click().await.unwrap();
    browser.find("dialog[open]").await;
    let (start, end) =
        (browser.find("dialog input[name=start]").await, browser.find("dialog input[name=end]").await);
    start.send_keys("10102026").await.unwrap();
    end.send_keys("10202026").await.unwrap();
    browser.assert_accessible("the dialog").await;
    browser.screenshot("dialog").await;
    browser.find("dialog button[type=submit]").await.click().await.unwrap();
    let csv = browser.downloaded("datastore-usage_2026-10-10_2026-10-20.csv").await;
    assert_eq!(csv, browser.by_api("csv", "2026-10-10", "2026-10-20").await);

    browser.find("dialog input[value=json]").await.click().await.unwrap();
    browser.find("dialog button[type=submit]").await.click().await.unwrap();
    let json = browser.downloaded("datastore-usage_2026-10-10_2026-10-20.json").await;
    assert_eq!(json, browser.by_api("json", "2026-10-10", "2026-10-20").await);

    // reversed days do not leave the page
    end.send_keys("10092026").await.unwrap();
    browser.find("dialog button[type=submit]").await.click().await.unwrap();
    assert!(!end.prop("validationMessage").await.unwrap().unwrap().is_empty());
    assert!(browser.client.current_url().await.unwrap().path().ends_with("/auth/admin/"));
    browser.find("dialog form[method=dialog] button").await.click().await.unwrap();
    browser.find("form.who button").await.click().await.unwrap();
    browser.shows("h1", "Sign in to monthend").await;
    browser.open("/auth/admin/").await;
    browser.shows("h1", "Sign in to monthend").await;
}

#[tokio::test]
#[ignore = "needs Chromium, which tools/test-browser installs"]
async fn the_keyboard_is_enough() {
    let browser = browser(1200, 800, true).await;
    browser.open("/auth/admin/sign-in").await;
    let (tab, enter, escape) = (Key::Tab.to_string(), Key::Enter.to_string(), Key::Escape.to_string());
    browser.press(&[&tab]).await;
    assert_eq!(browser.focus().await, "Skip to content");
    browser.press(&[&tab, "admin", &tab, PASSWORD, &enter]).await;
    browser.shows("h1", "Admin").await;
    browser.press(&[&tab, &tab, &tab]).await;
    assert_eq!(browser.focus().await, "Actions");
    browser.press(&[&enter, &tab]).await;
    assert_eq!(browser.focus().await, "Billing report");
    browser.press(&[&escape]).await;
    assert_eq!(browser.focus().await, "Actions");
    browser.press(&[&enter, &tab, &enter]).await;
    browser.find("dialog[open]").await;
    assert_eq!(browser.focus().await, "start");
    browser.press(&["10012026"]).await;
    browser.tab_to("end").await;
    browser.press(&["10312026"]).await;
    browser.tab_to("format").await;
    browser.press(&[&tab]).await;
    assert_eq!(browser.focus().await, "Download");
    browser.press(&[&enter]).await;
    let csv = browser.downloaded("datastore-usage_2026-10-01_2026-10-31.csv").await;
    assert_eq!(csv, browser.by_api("csv", "2026-10-01", "2026-10-31").await);
    browser.press(&[&escape]).await;
    assert!(browser.client.find(Locator::Css("dialog[open]")).await.is_err());
}

#[tokio::test]
#[ignore = "needs Chromium, which tools/test-browser installs"]
async fn it_fits_on_a_phone() {
    let browser = browser(360, 740, true).await;
    browser.open("/").await;
    browser.screenshot("phone-sign-in").await;
    let fits = async || {
        let script = "return [document.documentElement.scrollWidth, window.innerWidth];";
        let [content, window]: [u64; 2] =
            serde_json::from_value(browser.client.execute(script, vec![]).await.unwrap()).unwrap();
        assert!(content <= window, "{content} pixels in a window of {window}");
    };
    fits().await;
    browser.sign_in(PASSWORD).await;
    browser.shows("h1", "Admin").await;
    fits().await;
    browser.screenshot("phone-admin").await;
    browser.find("details.menu summary").await.click().await.unwrap();
    browser.screenshot("phone-menu").await;
    fits().await;
    browser.find("#open-billing-report").await.click().await.unwrap();
    browser.find("dialog[open]").await;
    fits().await;
    browser.assert_accessible("the dialog on a phone").await;
    browser.screenshot("phone-dialog").await;
}

#[tokio::test]
#[ignore = "needs Chromium, which tools/test-browser installs"]
async fn it_works_without_javascript_and_says_what_is_held() {
    let browser = browser(1000, 800, false).await;
    browser.world.events("broken.jsonl", &["{\"event_id\": 1}".to_owned()]).await;
    browser.world.quiet().await;
    browser.open("/").await;
    browser.sign_in(PASSWORD).await;
    browser.shows("#held-title", "1 file is held").await;
    browser.find("details.menu summary").await.click().await.unwrap();
    browser.find("#open-billing-report").await.click().await.unwrap();
    browser.shows("h1", "Billing report").await;
    let (start, end) = (browser.find("input[name=start]").await, browser.find("input[name=end]").await);
    start.send_keys("10312026").await.unwrap();
    end.send_keys("10302026").await.unwrap();
    browser.find("form.report button").await.click().await.unwrap();
    browser.shows("[role=alert]", "must not be before the first day 2026-10-31").await;
    browser.screenshot("report-page-error").await;
    let end = browser.find("input[name=end]").await;
    assert_eq!(end.prop("value").await.unwrap().unwrap(), "2026-10-30", "what was typed is kept");
    end.send_keys("10312026").await.unwrap();
    browser.find("form.report button").await.click().await.unwrap();
    let csv = browser.downloaded("datastore-usage_2026-10-31_2026-10-31.csv").await;
    assert_eq!(csv, browser.by_api("csv", "2026-10-31", "2026-10-31").await);
}

/// What a page can try against a server: to read, to ask as the SDK does, to ask without reading the answer, and a form.
const ATTACK: &str = r#"
    const done = arguments[arguments.length - 1], url = arguments[0], got = [];
    const json = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "DynamoDB_20120810.Scan"};
    const tries = [
        ["read", {}],
        ["ask", {method: "POST", headers: json, body: '{"TableName": "monthend-state"}'}],
        ["blind", {method: "POST", mode: "no-cors", headers: {"content-type": "text/plain"}, body: "{}"}],
        ["put", {method: "PUT", body: "teams: []"}],
    ];
    (async () => {
        for (const [name, options] of tries) {
            try {
                const answer = await fetch(url, options);
                if (answer.type !== "opaque") got.push(`${name} ${answer.status}: ${await answer.text()}`);
            } catch (error) {}
        }
        done(got);
    })();
"#;

#[tokio::test]
#[ignore = "needs Chromium, which tools/test-browser installs"]
async fn a_page_from_elsewhere_gets_nothing_from_any_port() {
    let browser = browser(1200, 800, true).await;
    let router = axum::Router::new().fallback(async || axum::response::Html("<title>elsewhere</title>"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let elsewhere = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let before = browser.world.bucket.list("").await.unwrap();
    for page in [format!("http://{elsewhere}/"), format!("http://evil.example:{}/", elsewhere.port())] {
        browser.client.goto(&page).await.unwrap();
        for (name, address) in ports(&browser.world) {
            for path in ["/", "/monthend-data/catalog/current.yaml", "/sandbox/faults"] {
                let url = format!("http://{address}{path}");
                let got = browser.client.execute_async(ATTACK, vec![json!(url)]).await.unwrap();
                assert_eq!(got, json!([]), "{page} of {name}{path}");
            }
        }
    }
    // a name of somebody else's that leads to the port itself: then the page is of the same origin, and reads what it is answered
    for (name, address) in ports(&browser.world) {
        let port = address.rsplit(':').next().unwrap();
        browser.client.goto(&format!("http://evil.example:{port}/")).await.unwrap();
        let said = browser.find("body").await.text().await.unwrap();
        assert!(said.starts_with("refused: the request is for another host"), "{name}: {said}");
    }
    // a form needs no permission to be sent
    let (_, s3) = ports(&browser.world).into_iter().find(|(name, _)| name == "s3").unwrap();
    browser.client.goto(&format!("http://{elsewhere}/")).await.unwrap();
    let form = r#"
        const form = document.createElement("form");
        form.method = "POST", form.enctype = "multipart/form-data", form.action = `http://${arguments[0]}/monthend-data`;
        form.innerHTML = '<input name=key value="catalog/current.yaml"><input name=file value="teams: []">';
        document.body.append(form);
        form.submit();
    "#;
    browser.client.execute(form, vec![json!(s3)]).await.unwrap();
    browser.shows("body", "refused: this answers programs, not web pages").await;
    let after = browser.world.bucket.list("").await.unwrap();
    assert_eq!(before.len(), after.len());
}
