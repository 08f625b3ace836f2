//! `monthend admin`

use std::io::{IsTerminal, Read, stdin};

use anyhow::Context;
use cloud::secrets::{SecretPlace, Secrets};
use secrecy::SecretString;

use crate::Ended;
use crate::output::Output;
use crate::session::Session;

/// More than any password has.
const LONGEST_INPUT_BYTES: u64 = 4096;

pub(crate) async fn set_password(session: &Session, output: &Output) -> anyhow::Result<Ended> {
    // an embedded console reads it from the embedded Secrets Manager, wherever other secrets come from
    let vars = match session.embedded {
        Some(_) => local::console_vars(&session.vars),
        None => session.vars.clone(),
    };
    let place = SecretPlace::from_vars(&vars, "ADMIN_SECRET_ARN")?;
    if stdin().is_terminal() {
        output.note("Type the new password (it is shown), then Enter and Ctrl-D. From a file: monthend admin set-password < FILE");
    }
    let mut text = String::new();
    stdin()
        .take(LONGEST_INPUT_BYTES)
        .read_to_string(&mut text)
        .context("failed to read the password from standard input")?;
    let password = SecretString::from(text.trim_end_matches(['\r', '\n']));
    Secrets::replace(&vars, &session.aws, &place, &console::admin_secret(&password)?).await?;
    output.note("The password of the user admin is set. It counts within a minute; all sessions have ended.");
    Ok(Ended::Done)
}
