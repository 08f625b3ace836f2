//! The way to Clazar, built when it is first needed: nothing of it exists where nothing is sent.

use cloud::aws::Aws;
use cloud::vars::Vars;
use tokio::sync::OnceCell;

use crate::clazar::Clazar;
use crate::error::ClazarError;

pub(crate) struct Connection {
    vars: Vars,
    aws: Aws,
    clazar: OnceCell<Clazar>,
}

impl Connection {
    pub(crate) fn new(vars: Vars, aws: Aws) -> Self {
        Self { vars, aws, clazar: OnceCell::new() }
    }

    /// A client that has a token.
    pub(crate) async fn open(&self) -> Result<&Clazar, ClazarError> {
        let clazar = self.clazar.get_or_try_init(|| Clazar::connect(&self.vars, &self.aws)).await?;
        clazar.authenticate().await?;
        Ok(clazar)
    }

    /// Requests since the last call and their average time, if there were any.
    pub(crate) fn latency(&self) -> Option<(u64, u64)> {
        self.clazar.get().map(Clazar::latency).filter(|(requests, _)| *requests > 0)
    }
}
