//! The billing APIs of AWS: Cost Explorer, Invoicing and Organizations, an answer at a time and as it came.
//!
//! The SDK signs, sends and checks; the bytes of the answer are taken aside before it reads them, so that what is kept is what
//! AWS said, and not what this version of the SDK understood of it.

mod capture;
mod error;

use std::future::Future;

use aws_sdk_costexplorer::error::SdkError;
use aws_sdk_costexplorer::types::{
    DateInterval, Dimension, DimensionValues, Expression, Granularity, GroupDefinition, GroupDefinitionType,
};
use aws_sdk_invoicing::types::{
    BillingPeriod, InvoiceSummariesFilter, InvoiceSummariesSelector, ListInvoiceSummariesResourceType,
};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use billing::month::BillingMonth;
use bytes::Bytes;

use self::capture::Capture;
use crate::aws::Aws;
use crate::http::RetryPolicy;
use crate::peer::PeerError;

/// What Cost Explorer calls the dimensions that are asked for, with the permission that each call needs.
const COST: &str = "ce:GetCostAndUsage";
const INVOICES: &str = "invoicing:ListInvoiceSummaries";
const ACCOUNTS: &str = "organizations:ListAccounts";

/// As many invoices as a page takes.
const INVOICES_A_PAGE: i32 = 100;

/// The clients.
#[derive(Clone, Debug)]
pub struct BillingApis {
    costs: aws_sdk_costexplorer::Client,
    invoices: aws_sdk_invoicing::Client,
    organization: aws_sdk_organizations::Client,
    retry: RetryPolicy,
}

/// One page of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its bytes as they came: JSON.
    pub body: Bytes,
    /// What asks for the next one.
    pub next: Option<String>,
}

/// A question to Cost Explorer: the costs of a month, unblended and amortised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostQuery {
    /// The month.
    pub month: BillingMonth,
    /// By which dimensions, two at the most: `LINKED_ACCOUNT`, `SERVICE`. By none: one total.
    pub group_by: &'static [&'static str],
    /// Only costs of this kind (dimension `RECORD_TYPE`).
    pub record_type: Option<String>,
}

impl CostQuery {
    /// The metrics of each group.
    pub const METRICS: [&str; 2] = ["UnblendedCost", "AmortizedCost"];
}

impl BillingApis {
    /// The clients of these credentials. Calls are tried as often as `retry` says.
    #[must_use]
    pub fn new(aws: &Aws, retry: RetryPolicy) -> Self {
        Self {
            costs: aws.cost_explorer(),
            invoices: aws.invoicing(),
            organization: aws.organizations(),
            retry,
        }
    }

    /// A page of `GetCostAndUsage`.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn costs(&self, query: &CostQuery, page: Option<&str>) -> Result<Page, PeerError> {
        let month = query.month;
        let day = |time: chrono::DateTime<chrono::Utc>| time.date_naive().to_string();
        let refused = |error: aws_sdk_costexplorer::error::BuildError| error::unsent(COST, &error);
        let period = DateInterval::builder().start(day(month.start())).end(day(month.end()));
        let period = period.build().map_err(refused)?;
        self.page(COST, async |capture| {
            let mut request = self.costs.get_cost_and_usage().time_period(period.clone());
            request = request.granularity(Granularity::Monthly).set_next_page_token(page.map(str::to_owned));
            request = CostQuery::METRICS.into_iter().fold(request, |request, metric| request.metrics(metric));
            for &key in query.group_by {
                let group = GroupDefinition::builder().r#type(GroupDefinitionType::Dimension).key(key);
                request = request.group_by(group.build());
            }
            if let Some(record_type) = &query.record_type {
                let only = DimensionValues::builder().key(Dimension::RecordType).values(record_type);
                request = request.filter(Expression::builder().dimensions(only.build()).build());
            }
            let answer = request.customize().interceptor(capture).send().await;
            answer.map(|answer| answer.next_page_token)
        })
        .await
    }

    /// A page of `ListInvoiceSummaries`: the invoices of a month that the account may see.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn invoices(
        &self,
        account: &str,
        month: BillingMonth,
        page: Option<&str>,
    ) -> Result<Page, PeerError> {
        let unsent = |error: aws_sdk_invoicing::error::BuildError| error::unsent(INVOICES, &error);
        let selector = InvoiceSummariesSelector::builder()
            .resource_type(ListInvoiceSummariesResourceType::AccountId)
            .value(account)
            .build()
            .map_err(unsent)?;
        let month_number = i32::try_from(month.month()).unwrap_or_default(); // 1 to 12
        let period = BillingPeriod::builder().month(month_number).year(month.year());
        let filter =
            InvoiceSummariesFilter::builder().billing_period(period.build().map_err(unsent)?).build();
        self.page(INVOICES, async |capture| {
            let request =
                self.invoices.list_invoice_summaries().selector(selector.clone()).filter(filter.clone());
            let request = request.max_results(INVOICES_A_PAGE).set_next_token(page.map(str::to_owned));
            let answer = request.customize().interceptor(capture).send().await;
            answer.map(|answer| answer.next_token)
        })
        .await
    }

    /// A page of `ListAccounts`: it may be empty and have a next one all the same.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn accounts(&self, page: Option<&str>) -> Result<Page, PeerError> {
        self.page(ACCOUNTS, async |capture| {
            let request = self.organization.list_accounts().set_next_token(page.map(str::to_owned));
            let answer = request.customize().interceptor(capture).send().await;
            answer.map(|answer| answer.next_token)
        })
        .await
    }

    /// Asks for a page until it comes or there is no hope; `ask` answers what asks for the next one.
    async fn page<E, F>(&self, action: &'static str, ask: impl Fn(Capture) -> F) -> Result<Page, PeerError>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        F: Future<Output = Result<Option<String>, SdkError<E>>>,
    {
        let attempt = || async {
            let capture = Capture::default();
            let answer = ask(capture.clone()).await;
            let body = capture.taken();
            match answer {
                // an empty text means that there is no more
                Ok(next) => Ok(Page { body, next: next.filter(|next| !next.is_empty()) }),
                Err(error) => Err(error::of_sdk(action, &error, &body)),
            }
        };
        self.retry.run(attempt).await
    }
}
