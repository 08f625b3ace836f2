//! The admin pages. They work without JavaScript; with it, the report's form opens in a dialog.

use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, LOCATION, SET_COOKIE};
use axum::response::{Html, IntoResponse, Redirect, Response};
use billing::month::BillingMonth;
use chrono::{DateTime, Datelike as _, Days, Utc};
use secrecy::SecretString;
use serde::Deserialize;

use crate::App;
use crate::api::{Asked, Spelling};
use crate::auth::{
    ClientAddress, FORM_COOKIE, Refusal, SESSION_COOKIE, SESSION_S, Session, cookie, random_token, same_token,
};
use crate::failure::Failure;

const ADMIN: &str = "/auth/admin/";
const SIGN_IN: &str = "/auth/admin/sign-in";
/// A sign-in form may stay open so long.
const FORM_S: i64 = 60 * 60;

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignInPage<'a> {
    error: Option<&'a str>,
    user: &'a str,
    csrf: &'a str,
}

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage<'a> {
    user: &'a str,
    csrf: &'a str,
    held: &'a [String],
    report: ReportForm,
}

#[derive(Template)]
#[template(path = "billing-report.html")]
struct ReportPage<'a> {
    user: &'a str,
    csrf: &'a str,
    held: &'a [String],
    report: ReportForm,
}

/// The report's form with what was typed.
struct ReportForm {
    start: String,
    end: String,
    today: String,
    format: String,
    error: Option<String>,
}

pub(crate) async fn home() -> Redirect {
    Redirect::to(ADMIN)
}

pub(crate) async fn admin(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Response> {
    let now = Utc::now();
    let session = app.signed_in(&headers, now).await?;
    let held = app.held().await;
    let page =
        AdminPage { user: &session.user, csrf: &session.csrf, held: &held, report: ReportForm::new(now) };
    Ok(html(StatusCode::OK, &page))
}

pub(crate) async fn billing_report(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let now = Utc::now();
    let session = app.signed_in(&headers, now).await?;
    let held = app.held().await;
    let page =
        ReportPage { user: &session.user, csrf: &session.csrf, held: &held, report: ReportForm::new(now) };
    Ok(html(StatusCode::OK, &page))
}

/// The report as the form asks for it; what is wrong with it is said beside what was typed.
pub(crate) async fn download(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Response> {
    let now = Utc::now();
    let session = app.signed_in(&headers, now).await?;
    let (mut form, mut days) = (ReportForm::new(now), Vec::new());
    (form.start, form.end) = (String::new(), String::new());
    let query = query.unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let value: String = value.chars().take(40).collect();
        match name.as_ref() {
            "start" => form.start.clone_from(&value),
            "end" => form.end.clone_from(&value),
            "format" => form.format.clone_from(&value),
            _ => {}
        }
        if name != "format" {
            days.push((name, value));
        }
    }
    let days = form_urlencoded::Serializer::new(String::new()).extend_pairs(days).finish();
    let asked = Asked::new(Spelling::StartAndEnd, Some(&days));
    let answer = match asked {
        Ok(asked) => app.report(&asked, &form.format, now).await,
        Err(error) => Err(error),
    };
    answer.map_err(|failure| {
        let (status, why) = failure.parts();
        form.error = Some(sentence(&why));
        html(status, &ReportPage { user: &session.user, csrf: &session.csrf, held: &[], report: form })
    })
}

pub(crate) async fn sign_in_form() -> Response {
    sign_in_page(StatusCode::OK, None, "")
}

/// What the sign-in form sends.
#[derive(Deserialize)]
pub(crate) struct SignIn {
    user: String,
    password: SecretString,
    csrf: String,
}

pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    address: ClientAddress,
    headers: HeaderMap,
    form: Result<Form<SignIn>, FormRejection>,
) -> Response {
    let now = Utc::now();
    let form = match form {
        Ok(Form(form)) => form,
        Err(rejection) => {
            let why = "The form cannot be read, or something is missing in it. Please sign in again.";
            return sign_in_page(rejection.status(), Some(why), "");
        }
    };
    let ours = cookie(&headers, FORM_COOKIE).unwrap_or_default();
    if !same_token(&ours, &form.csrf) {
        let why = "This form was open for too long, or cookies are off. Please sign in again.";
        return sign_in_page(StatusCode::FORBIDDEN, Some(why), &form.user);
    }
    let signed = match app.sign_in(&form.user, form.password, &address, now).await {
        Ok((name, secret)) => Session::new(&name, now).sign(secret.session_key()).map(|token| (name, token)),
        Err(refusal) => {
            let why = match refusal {
                Refusal::Wrong => "User or password is not right.".to_owned(),
                ref other => sentence(&other.to_string()),
            };
            return sign_in_page(refusal.status(), Some(&why), &form.user);
        }
    };
    let Some((name, token)) = signed else {
        return sign_in_page(
            StatusCode::SERVICE_UNAVAILABLE,
            Some("The session cannot be signed."),
            &form.user,
        );
    };
    tracing::info!(who = name, client.address = address.as_str(), "{name} signed in");
    let cookies = [set_cookie(SESSION_COOKIE, &token, SESSION_S), set_cookie(FORM_COOKIE, "", 0)];
    see_other(ADMIN, cookies)
}

/// What the sign-out form sends.
#[derive(Deserialize)]
pub(crate) struct SignOut {
    csrf: String,
}

pub(crate) async fn sign_out(
    State(app): State<Arc<App>>,
    address: ClientAddress,
    headers: HeaderMap,
    form: Result<Form<SignOut>, FormRejection>,
) -> Result<Response, Response> {
    let session = app.signed_in(&headers, Utc::now()).await?;
    let unreadable = |rejection: FormRejection| {
        let why = "the form cannot be read, or something is missing in it; go back and try again";
        Failure::Form(rejection.status(), why).into_response()
    };
    let Form(form) = form.map_err(unreadable)?;
    if !same_token(&session.csrf, &form.csrf) {
        let why = "the form is not of this session; go back and try again";
        return Err(Failure::Form(StatusCode::FORBIDDEN, why).into_response());
    }
    tracing::info!(who = session.user, client.address = address.as_str(), "{} signed out", session.user);
    Ok(see_other(SIGN_IN, [set_cookie(SESSION_COOKIE, "", 0)]))
}

impl App {
    /// Who is signed in; everybody else is sent to sign in. Only the cookie counts here, whatever else a browser sends.
    async fn signed_in(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Result<Session, Response> {
        match self.session(headers, now).await {
            Ok(session) => Ok(session),
            Err(Refusal::Missing | Refusal::Wrong) => Err(Redirect::to(SIGN_IN).into_response()),
            Err(refusal) => Err(Failure::from(refusal).into_response()),
        }
    }

    /// Files that are held; none if that cannot be told, since a report says it again.
    async fn held(&self) -> Vec<String> {
        let held = self.datastores.held().await.inspect_err(|error| tracing::error!("{error}"));
        held.unwrap_or_default().into_iter().collect()
    }
}

impl ReportForm {
    /// The month before, which is the one to bill.
    fn new(now: DateTime<Utc>) -> Self {
        let month = BillingMonth::containing(now).previous();
        let last = month.end().date_naive() - Days::new(1);
        debug_assert_eq!(last.month(), month.month());
        Self {
            start: month.start().date_naive().to_string(),
            end: last.to_string(),
            today: now.date_naive().to_string(),
            format: "csv".into(),
            error: None,
        }
    }
}

fn sign_in_page(status: StatusCode, error: Option<&str>, user: &str) -> Response {
    let token = random_token();
    let mut response = html(status, &SignInPage { error, user, csrf: &token });
    response.headers_mut().extend([set_cookie(FORM_COOKIE, &token, FORM_S)].into_iter().flatten());
    response
}

/// A message as a sentence.
fn sentence(message: &str) -> String {
    let mut rest = message.chars();
    let first = rest.next().into_iter().flat_map(char::to_uppercase);
    first.chain(rest).chain(['.']).collect()
}

fn html(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => Failure::Internal(error.to_string()).into_response(),
    }
}

/// A cookie that scripts cannot read, that goes over TLS (or to this machine) only, and not along with forms of other sites.
fn set_cookie(name: &str, value: &str, seconds: i64) -> Option<(axum::http::HeaderName, HeaderValue)> {
    let cookie = format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Lax");
    HeaderValue::from_str(&cookie).ok().map(|value| (SET_COOKIE, value))
}

fn see_other(
    to: &'static str,
    cookies: impl IntoIterator<Item = Option<(axum::http::HeaderName, HeaderValue)>>,
) -> Response {
    let mut response = (StatusCode::SEE_OTHER, [(LOCATION, to)]).into_response();
    for (name, value) in cookies.into_iter().flatten() {
        response.headers_mut().append(name, value);
    }
    response
}
