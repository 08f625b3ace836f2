//! `monthend env`

use local::{Home, REGION};
use serde_json::{Map, Value};

use crate::Ended;
use crate::output::{Format, Output};
use crate::session::home_folder;

/// What would go before the keys, or spoil them.
const UNSET: [&str; 3] = ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"];

pub(crate) fn env(output: &Output) -> anyhow::Result<Ended> {
    let home = Home::open(home_folder())?;
    let endpoints = match (home.lock()?, home.endpoints()) {
        (None, Some(endpoints)) => endpoints,
        _ => anyhow::bail!("no embedded cloud runs on {}: start it by `monthend up`", home.root().display()),
    };
    let keys = &endpoints.credentials;
    let vars = [
        ("AWS_ACCESS_KEY_ID", keys.access_key_id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", &keys.secret_access_key),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        // for services that are not here: nothing goes to AWS by mistake
        ("AWS_ENDPOINT_URL", &endpoints.s3),
        ("AWS_ENDPOINT_URL_S3", &endpoints.s3),
        ("AWS_ENDPOINT_URL_DYNAMODB", &endpoints.dynamodb),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &endpoints.secrets),
        ("DATA_BUCKET", &endpoints.bucket),
        ("STATE_TABLE", &endpoints.table),
    ];
    if output.format == Format::Json {
        let vars: Map<String, Value> =
            vars.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        output.line(&Value::from(vars).to_string());
    } else {
        // nothing in them needs quotes in a shell
        vars.into_iter().for_each(|(name, value)| output.line(&format!("export {name}={value}")));
        output.line(&format!("unset {}", UNSET.join(" ")));
    }
    Ok(Ended::Done)
}
