//! The functions in this process, as Lambda would run them: connected once, then one event after the other.

use std::future::Future;
use std::pin::Pin;

use chrono::{DateTime, Utc};
use cloud::invocation::{Failure, Function, invoke};
use cloud::vars::Vars;
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::embedded::console_vars;

/// All functions of the house with one set of variables.
#[derive(Default)]
pub struct Functions {
    vars: Vars,
    fetch_atlas: OnceCell<fetch_atlas::App>,
    fetch_aws: OnceCell<fetch_aws::App>,
    fetch_azure: OnceCell<fetch_azure::App>,
    fetch_ccx: OnceCell<fetch_ccx::App>,
    fetch_gcp: OnceCell<fetch_gcp::App>,
    allocate: OnceCell<allocate::App>,
    fetch_omnistrate: OnceCell<fetch_omnistrate::App>,
    fetch_prometheus: OnceCell<fetch_prometheus::App>,
    meter_clazar: OnceCell<meter_clazar::App>,
    record_usage: OnceCell<record_usage::App>,
    report_revenue: OnceCell<report_revenue::App>,
    bill: OnceCell<bill::App>,
}

impl Functions {
    /// The functions as these variables configure them.
    #[must_use]
    pub fn new(vars: Vars) -> Self {
        Self { vars, ..Self::default() }
    }

    /// Invokes a function by its folder name; `id` names the invocation in the ledger.
    ///
    /// # Errors
    /// [`Failure`], also if it cannot start or there is no such function.
    pub async fn invoke(
        &self,
        name: &str,
        event: &Value,
        id: &str,
        now: DateTime<Utc>,
    ) -> Result<Value, Failure> {
        match name {
            fetch_atlas::App::NAME => self.run(&self.fetch_atlas, event, id, now).await,
            fetch_aws::App::NAME => self.run(&self.fetch_aws, event, id, now).await,
            fetch_azure::App::NAME => self.run(&self.fetch_azure, event, id, now).await,
            fetch_ccx::App::NAME => self.run(&self.fetch_ccx, event, id, now).await,
            fetch_gcp::App::NAME => self.run(&self.fetch_gcp, event, id, now).await,
            allocate::App::NAME => self.run(&self.allocate, event, id, now).await,
            fetch_omnistrate::App::NAME => self.run(&self.fetch_omnistrate, event, id, now).await,
            fetch_prometheus::App::NAME => self.run(&self.fetch_prometheus, event, id, now).await,
            meter_clazar::App::NAME => self.run(&self.meter_clazar, event, id, now).await,
            record_usage::App::NAME => self.run(&self.record_usage, event, id, now).await,
            console::NAME => Box::pin(self.console(event)).await,
            report_revenue::App::NAME => self.run(&self.report_revenue, event, id, now).await,
            bill::App::NAME => self.run(&self.bill, event, id, now).await,
            other => Err(Failure::whole(format!("there is no function '{other}'"))),
        }
    }

    /// One request to the console, as its Function URL sends it.
    async fn console(&self, event: &Value) -> Result<Value, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::whole(error.to_string());
        let app = console::App::connect(&console_vars(&self.vars)).await.map_err(|error| failed(&error))?;
        console::invoke(console::router(app), event).await.map_err(|error| failed(&error))
    }

    /// Boxed, so that whoever invokes does not carry the states of all functions on its stack.
    fn run<'f, F: Function>(
        &'f self,
        cell: &'f OnceCell<F>,
        event: &'f Value,
        id: &'f str,
        now: DateTime<Utc>,
    ) -> Pin<Box<dyn Future<Output = Result<Value, Failure>> + Send + 'f>> {
        let connect =
            || async { F::connect(&self.vars).await.map_err(|error| Failure::whole(error.to_string())) };
        Box::pin(async move { invoke(cell.get_or_try_init(connect).await?, event, id, now).await })
    }
}
