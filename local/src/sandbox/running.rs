//! A sandbox that listens, for tests.

use tokio_util::sync::{CancellationToken, DropGuard};

use super::provider::{Provider, Sandbox};
use crate::serve::{Door, listen, serve};

pub(super) struct Running<P: Provider> {
    pub(super) sandbox: Sandbox<P>,
    pub(super) url: String,
    pub(super) client: reqwest::Client,
    _stop: DropGuard,
}

impl<P: Provider> Running<P> {
    pub(super) async fn of(sandbox: Sandbox<P>) -> Self {
        let (listener, url) = listen("127.0.0.1".parse().unwrap(), 0).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, Door::Programs, sandbox.clone().router().into(), stop.clone()));
        Self { sandbox, url, client: reqwest::Client::new(), _stop: stop.drop_guard() }
    }
}
