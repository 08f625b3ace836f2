//! Stand-ins for what is outside: real protocols, real authentication, invented data. Each is a state with routes, and fails on
//! request: [`Sandbox`].

mod access;
mod atlas;
mod aws;
mod azure;
mod ccx;
mod clazar;
mod datastores;
mod faults;
mod gcp;
mod ids;
mod omnistrate;
mod prometheus;
mod provider;
#[cfg(test)]
mod running;
pub mod secrets;
mod ses;
mod vault;

pub use atlas::{AtlasSandbox, Organisation, PendingShape};
pub use aws::{
    AWS_ACCOUNT, AWS_CUR2, AWS_EXPORT_BUCKET, AWS_EXPORT_PREFIX, AWS_FOCUS, AwsFault, AwsSandbox, Packing,
};
pub use azure::{AzureFault, AzureReportFault, AzureSandbox};
pub use ccx::CcxSandbox;
pub use clazar::{ClazarFault, ClazarSandbox, HeldRecord};
pub use datastores::events_of_datastores;
pub use faults::{FaultKind, NoFault};
pub use gcp::{GCP_BILLING_TABLE, GCP_LOCATION, GCP_PROJECT, GcpFault, GcpRow, GcpSandbox};
pub use omnistrate::OmnistrateExport;
pub use prometheus::{PrometheusFault, PrometheusSandbox};
pub use provider::Sandbox;
pub use ses::{SentMail, SesFault, SesSandbox};
pub use vault::{VaultFault, VaultSandbox};

/// What opens the sandbox of Atlas, as variables: an API key pair and the organisation.
pub const ATLAS_CREDENTIALS: [(&str, &str); 3] = [
    ("PUBLIC_KEY", "sandboxk"),
    ("PRIVATE_KEY", "7d9f1c52-3c1b-4e0e-9a52-5a6d0c1e8f34"),
    ("ORG_ID", "64f0a1b2c3d4e5f607182930"),
];

/// A service account that opens it too.
pub const ATLAS_SERVICE_ACCOUNT: [(&str, &str); 2] = [
    ("CLIENT_ID", "mdb_sa_id_64f0a1b2c3d4e5f607182931"),
    ("CLIENT_SECRET", "mdb_sa_sk_not-a-secret+in/the=sandbox"),
];

/// What opens the sandbox of Clazar.
pub const CLAZAR_CREDENTIALS: [(&str, &str); 2] = [
    ("CLAZAR_CLIENT_ID", "sandbox-client"),
    ("CLAZAR_CLIENT_SECRET", "3c6e1b0a-9d24-4f57-8a41-c2f0b7d95e16"),
];

/// Under which name the reports of the sandbox of CCX are filed, wherever it listens.
pub const CCX_ACCOUNT: &str = "ccx.sandbox";

/// What opens the sandbox of CCX.
pub const CCX_CREDENTIALS: [(&str, &str); 2] =
    [("CCX_USER", "admin"), ("CCX_PASSWORD", "b81f0c4d-6a27-4e39-8f15-d3e9a07c2b64")];

/// Who the sandbox's mails are from: the only address that its SES has verified.
pub const MAIL_FROM: &str = "billing@monthend.example";
/// Under which name the answers of the sandbox of Prometheus are filed, with a port or without.
pub const PROMETHEUS_ACCOUNT: &str = "127.0.0.1";

/// What opens the sandbox of Prometheus.
pub const PROMETHEUS_CREDENTIALS: [(&str, &str); 2] =
    [("PROMETHEUS_USER", "monthend"), ("PROMETHEUS_PASSWORD", "5e0d7c19-84f3-4b6a-9d21-70c8e5a3f1b2")];

/// What opens it, too, instead of user and password: `PROMETHEUS_TOKEN`.
pub const PROMETHEUS_TOKEN: &str = "sandbox-token-c47f0e92b5d8";

/// What the sandbox of Azure bills: a billing profile.
pub const AZURE_SCOPE: &str = "providers/Microsoft.Billing/billingAccounts/11111111-aaaa-bbbb-cccc-222222222222:33333333-dddd-eeee-ffff-444444444444_2019-05-31/billingProfiles/AAAA-BBBB-CCC-DDD";

/// The same costs as those of an Enterprise Agreement, by billing periods and without invoices.
pub const AZURE_ENROLLMENT: &str = "providers/Microsoft.Billing/billingAccounts/1234567";

/// What opens the sandbox of Azure: an app registration.
pub const AZURE_CREDENTIALS: [(&str, &str); 3] = [
    ("AZURE_TENANT_ID", "00000053-1111-4222-8333-000000000053"),
    ("AZURE_CLIENT_ID", "00000002-1111-4222-8333-000000000002"),
    ("AZURE_CLIENT_SECRET", "f2c9a41e~not-a-secret.in+the/sandbox"),
];

/// What opens the sandbox of Vault for reading: an AppRole.
pub const VAULT_CREDENTIALS: [(&str, &str); 2] = [
    ("VAULT_ROLE_ID", "0a7c1d5e-2b64-4c1f-9d3e-7f5b8a6c4e21"),
    ("VAULT_SECRET_ID", "e41b6f9a-8d07-4b3c-a5f2-6c9d1e0b7a38"),
];

/// What opens it for reading and writing.
pub const VAULT_TOKEN: (&str, &str) = ("VAULT_TOKEN", "hvs.not-a-secret-in-the-sandbox");
