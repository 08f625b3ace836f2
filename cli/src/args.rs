//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use billing::charges::DateOrder;
use billing::intake::Answer;
use billing::metering::Plan;
use billing::month::BillingMonth;
use billing::usage::Window;
use chrono::NaiveDate;
use clap::{Parser, Subcommand, ValueEnum};
use cloud::intake::Answers;

use crate::output::Format;
use crate::values::{answer, begun, ended, reason, version};

/// Closes the month for cloud money: fetches invoices, allocates them, certifies every cent.
///
/// Exit codes: 0 done, 1 failed, 2 usage (also a name that there is not), 3 held (a certificate does not match or a
/// document cannot be read), 4 partial.
/// Data goes to standard output; progress and messages go to standard error.
#[derive(Debug, Parser)]
#[command(name = "monthend", version, after_help = "First time? Try: monthend demo")]
pub(crate) struct Args {
    /// How to print
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// No colours, even on a terminal
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Log what happens to standard error
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// Where to work: the embedded cloud in MONTHEND_HOME (default .monthend), or the deployed stack that
    /// DATA_BUCKET and STATE_TABLE name, with your AWS credentials
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) cloud: Cloud,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Cloud {
    #[default]
    Embedded,
    Aws,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A whole month end with invented data, no account anywhere
    #[command(after_help = "Example: monthend demo --month 2026-10")]
    Demo(Demo),
    /// Run the embedded cloud until Ctrl-C
    #[command(after_help = "Example: monthend up --sandbox --format json")]
    Up(Up),
    /// The variables that point AWS' tools to the embedded cloud that `monthend up` runs
    #[command(
        after_help = "Example: eval \"$(monthend env)\"; aws s3 ls s3://monthend-data/raw/ --recursive"
    )]
    Env,
    /// Fetch from every configured provider, then follow until everything is allocated, certified and metered
    #[command(
        after_help = "Example: PUBLIC_KEY=... PRIVATE_KEY=... ORG_ID=... monthend run --month 2026-10\n\
                            The variables may stand in a file .env in the current folder."
    )]
    Run(Run),
    /// Invoke one function with one event and print its answer
    #[command(
        after_help = "Example: monthend invoke fetch-atlas -e events/fetch-atlas-month.json --dry-run\n\
                            Example: echo '{\"key\": \"raw/atlas/...\"}' | monthend invoke allocate -e -"
    )]
    Invoke(Invoke),
    /// List objects of the data bucket
    #[command(after_help = "Example: monthend ls allocations/")]
    Ls(Ls),
    /// Print an object
    #[command(
        after_help = "Example: monthend cat allocations/atlas/64f0a1b2c3d4e5f607182930/2026-10-692026....csv"
    )]
    Cat(Cat),
    /// Copy an object into a file
    #[command(
        after_help = "Example: monthend get charges/provider=atlas/month=2026-10/692026....parquet charges.parquet"
    )]
    Get(Get),
    /// Copy a file into the bucket; under raw/, journal/, datastores/ and usage/ its arrival starts what it is for
    #[command(after_help = "Example: monthend put invoice.json raw/atlas/ORG/2026-10/INVOICE/\n\
                            A key that ends with / gets the name that its content asks for, HASH.json")]
    Put(Put),
    /// Take in a bill as a file: a FOCUS export (CSV, CSV.gz, Parquet), a report of AWS or Azure; its bills are allocated
    #[command(after_help = "Example: monthend import focus-2026-10.csv.gz\n\
                            Example: monthend import cost-details.csv --invoice G012345678\n\
                            Whose bill it is and of which month stands in its rows; a file may hold several bills")]
    Import(Import),
    /// Take back a bill that was brought by mistake: its next revision has no charges, and what was brought stays
    #[command(
        after_help = "Example: monthend withdraw azure/8611537/2026-10/import --reason 'the wrong month'"
    )]
    Withdraw(Withdraw),
    /// The catalog: customers, accounts, services, components, pools, prices
    #[command(subcommand)]
    Catalog(Catalog),
    /// Bill a month: what every customer of the catalog owes, once; exits with 3 if the month or a bill of it is held
    #[command(after_help = "Example: monthend bill --month 2026-10 --dry-run\n\
                            Example: monthend bill --month 2026-10 --release 'GCP is late, its difference comes next month'\n\
                            Example: monthend bill --month 2026-10 --mail 'Team Blue=sent'")]
    Bill(Bill),
    /// From a figure to the charges and rules that made it
    #[command(subcommand)]
    Explain(Explain),
    /// What changed between the bills of two months, two runs of a month, or by two catalogs
    #[command(after_help = "Example: monthend diff --from 2026-09 --to 2026-10\n\
                            Example: monthend diff --from 2026-10#1 --to 2026-10#2\n\
                            Example: monthend diff --month 2026-10 --from 3f9a2c --to current")]
    Diff(Diff),
    /// Usage metering: what was submitted to the marketplace, what is open, dry runs, the earlier exporter's state
    #[command(subcommand)]
    Metering(Metering),
    /// Show periods, invoices, certificates, usage reports, submissions, and what waits or failed; exits with 3 if something is held
    #[command(after_help = "Example: monthend status --month 2026-10")]
    Status(Status),
    /// Reports: usage of datastores; revenue by client, service and location
    #[command(subcommand)]
    Report(Report),
    /// The console's admin
    #[command(subcommand)]
    Admin(Admin),
    /// Events of the embedded cloud that were given up, with their last error
    #[command(after_help = "Example: monthend dead-letters --remove 3\n\n\
                      One goes by itself when its document succeeds. What you have settled in another way is removed by its number.")]
    DeadLetters(DeadLetters),
    /// Remove all state of the embedded cloud
    #[command(after_help = "Example: monthend reset")]
    Reset(Reset),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// The month to close, one whose bills are final (default: the last one)
    #[arg(long, value_parser = ended)]
    pub(crate) month: Option<BillingMonth>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Up {
    /// Run the sandbox providers with it
    #[arg(long)]
    pub(crate) sandbox: bool,
    /// First of the ports used: this one is the console's, S3 is next, then DynamoDB, Secrets Manager, Atlas, Clazar, CCX, and Azure the eighth after it,
    /// Google Cloud the ninth, Prometheus the tenth, Vault the eleventh, SES the twelfth
    #[arg(long, default_value_t = 8787, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=65_500))]
    pub(crate) port_base: u16,
    /// Address to listen on; containers reach this machine by the address of their bridge
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub(crate) listen: IpAddr,
    /// The month that the sandbox closes (default: the last one whose bills are final)
    #[arg(long, value_parser = begun)]
    pub(crate) month: Option<BillingMonth>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// All invoices and usage of this month (default: the newest and the open one)
    #[arg(long, value_parser = begun)]
    pub(crate) month: Option<BillingMonth>,
    /// Fetch from the sandbox providers
    #[arg(long)]
    pub(crate) sandbox: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Invoke {
    /// The function: fetch-atlas, fetch-aws, fetch-azure, fetch-gcp, fetch-ccx, fetch-prometheus, allocate, fetch-omnistrate, meter-clazar, record-usage, report-revenue, bill, console
    pub(crate) function: String,
    /// File with the event; - for standard input; without it, the event is {}
    #[arg(short, long, value_name = "FILE")]
    pub(crate) event: Option<PathBuf>,
    /// Write nothing, only say what would happen
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leave the notifications that it causes queued
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Fetch from the sandbox providers
    #[arg(long)]
    pub(crate) sandbox: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ls {
    /// Only keys that start so
    #[arg(default_value = "")]
    pub(crate) prefix: String,
    /// Another bucket than the data bucket
    #[arg(long)]
    pub(crate) bucket: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Cat {
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) key: String,
    /// Another bucket than the data bucket
    #[arg(long)]
    pub(crate) bucket: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) key: String,
    pub(crate) file: PathBuf,
    /// Another bucket than the data bucket
    #[arg(long)]
    pub(crate) bucket: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Put {
    pub(crate) file: PathBuf,
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) key: String,
    /// Another bucket than the data bucket
    #[arg(long)]
    pub(crate) bucket: Option<String>,
    /// Leave the notification that it causes queued
    #[arg(long)]
    pub(crate) no_follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// Files or folders: CSV (plain, gzip or zip; comma, semicolon or tab) or Parquet. Files of one account and month are one bill
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// They take the place of the bill of their account and month; with an account, only what they hold of that
    #[arg(long, value_name = "ACCOUNT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) replace: Vec<String>,
    /// They are further parts of the bill of their account and month
    #[arg(long, value_name = "ACCOUNT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) add: Vec<String>,
    /// They are a further bill of an account and month that has one
    #[arg(long, value_name = "ACCOUNT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) additional: Vec<String>,
    /// The name of the bill, where an account has several in a month (default: import)
    #[arg(long, value_name = "NAME")]
    pub(crate) invoice: Option<String>,
    /// Whose the bills are, where their rows do not say so, or do not agree
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Option<String>,
    /// In which order days such as 01/10/2026 are written, where it cannot be told
    #[arg(long, value_enum, value_name = "ORDER")]
    pub(crate) dates: Option<Dates>,
    /// Write nothing, only say what would become of them
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dates {
    /// 10/31/2026
    MonthFirst,
    /// 31/10/2026
    DayFirst,
}

impl From<Dates> for DateOrder {
    fn from(dates: Dates) -> Self {
        match dates {
            Dates::MonthFirst => Self::MonthFirst,
            Dates::DayFirst => Self::DayFirst,
        }
    }
}

impl Import {
    /// What is said of bills that are there already.
    ///
    /// # Errors
    /// Two answers for the same bills.
    pub(crate) fn answers(&self) -> anyhow::Result<Answers> {
        let mut answers = Answers::default();
        for (accounts, answer) in [
            (&self.replace, Answer::Replace),
            (&self.add, Answer::Add),
            (&self.additional, Answer::Additional),
        ] {
            for account in accounts {
                let before = match account.as_str() {
                    "" => answers.all.replace(answer),
                    account => answers.of.insert(account.to_owned(), answer),
                };
                let of = if account.is_empty() { "all bills".to_owned() } else { account.clone() };
                anyhow::ensure!(before.is_none(), "--replace, --add and --additional: say only one of {of}");
            }
        }
        Ok(answers)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Withdraw {
    /// The bill: provider/account/month/name, as `monthend status` shows them
    pub(crate) bill: String,
    /// Why; it is recorded and shown
    #[arg(long, value_parser = reason)]
    pub(crate) reason: String,
    /// Write nothing, only say what would become of it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Bill {
    /// The month (default: the one before this, and what changed in billed months before it)
    #[arg(long, value_parser = begun)]
    pub(crate) month: Option<BillingMonth>,
    /// Only this customer
    #[arg(long, value_name = "NAME", requires = "month")]
    pub(crate) customer: Option<String>,
    /// Write and send nothing, only say what would come out
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Bill although inputs are missing; why is recorded and shown
    #[arg(long, value_name = "REASON", requires = "month", value_parser = reason)]
    pub(crate) release: Option<String>,
    /// By this catalog instead of the month's own: current, or the beginning of a version
    #[arg(long, value_name = "VERSION", requires = "month", value_parser = version)]
    pub(crate) catalog: Option<String>,
    /// What you found out of a mail of which nobody knows whether it went out
    #[arg(long, value_name = "CUSTOMER=sent|send|send-2", requires = "month", value_parser = answer)]
    pub(crate) mail: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Explain {
    /// A line of a bill: prices, rates, rules, and the charges behind them
    #[command(after_help = "Example: monthend explain bill --month 2026-10 --customer 'Team Blue'\n\
                            Example: monthend explain bill --month 2026-10 --customer 'Team Blue' --line service/blue-app\n\
                            --format json has all of it, --format csv the parts of the lines")]
    Bill {
        /// The month
        #[arg(long, value_parser = begun)]
        month: BillingMonth,
        /// Whose bill
        #[arg(long, value_name = "NAME")]
        customer: String,
        /// The key of a line (default: all lines)
        #[arg(long, value_name = "KEY")]
        line: Option<String>,
        /// By which run of the month, for example 1 (default: the newest)
        #[arg(long, value_name = "NUMBER")]
        run: Option<u32>,
    },
    /// A row of an invoice's allocation: its charges, its share of what belongs to nobody, adjustments
    #[command(after_help = "Example: monthend explain allocation --month 2026-10 --provider atlas\n\
                            Example: monthend explain allocation --month 2026-10 --provider aws --target 444455556666\n\
                            --format json is a list of certificates, each with its largest charges; --format csv lists the charges")]
    Allocation {
        /// The month
        #[arg(long, value_parser = begun)]
        month: BillingMonth,
        /// Whose invoices: atlas, aws, azure, gcp, or another of their names
        #[arg(long)]
        provider: String,
        /// Only this project, account or subscription
        #[arg(long, value_name = "ID")]
        target: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Diff {
    /// A month, a run (2026-10#1), or with --month a catalog: current, or the beginning of a version
    #[arg(long)]
    pub(crate) from: String,
    /// The same
    #[arg(long)]
    pub(crate) to: String,
    /// The month to bill by two catalogs
    #[arg(long, value_parser = begun)]
    pub(crate) month: Option<BillingMonth>,
    /// Only this customer
    #[arg(long, value_name = "NAME")]
    pub(crate) customer: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Status {
    /// Only this month
    #[arg(long, value_parser = begun)]
    pub(crate) month: Option<BillingMonth>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Metering {
    /// Contracts and months by state, and what needs a person; exits with 3 if something is refused or held
    #[command(after_help = "Example: monthend metering status --month 2026-10 --format json")]
    Status(MeteringStatus),
    /// Print the exact requests that a run would send; writes and sends nothing, and needs no Clazar credentials
    #[command(
        after_help = "Example: monthend metering dry-run --month 2026-10 --contract ae641bd1-edf8-4038-bfed-d2ff556c729e"
    )]
    DryRun(MeteringRun),
    /// Count what is due, then send what is open
    #[command(after_help = "--format csv lists the submissions, as metering status does\n\
                            Example: monthend metering run\n\
                            Example: monthend metering run --month 2026-10 --contract ae641bd1-edf8-4038-bfed-d2ff556c729e")]
    Run(MeteringRun),
    /// Take over the state file of the earlier exporter: nothing that it lists is sent again
    #[command(
        after_help = "Example: aws s3 cp s3://BUCKET/metering_state.json . && monthend metering import-state metering_state.json"
    )]
    ImportState(ImportState),
    /// Print the state in the earlier exporter's schema, which is JSON
    #[command(after_help = "Example: monthend metering export-state > metering_state.json")]
    ExportState(ExportState),
    /// Open a closed month, and those after it, again: the next run sends what was not sent; what was accepted stays
    #[command(
        after_help = "Example: monthend metering reopen --month 2026-10 --reason 'contract c7 was registered late'"
    )]
    Reopen(Reopen),
    /// Send no more of what the marketplace refuses of a contract's month, because it has ended the contract: it is certified as given up, and
    /// the month can close; nothing is given up that the marketplace may hold
    #[command(
        after_help = "Example: monthend metering give-up --contract ae641bd1-edf8-4038-bfed-d2ff556c729e --month 2026-10 --reason 'cancelled on 12 October' --dry-run"
    )]
    GiveUp(GiveUp),
    /// Wait no longer for a plan's usage of a month: contracts of the other plans of its marketplace are sent without it
    #[command(
        after_help = "Example: monthend metering leave-out --plan Postgres:PROD:pt-b --month 2026-10 --reason 'its export is lost'"
    )]
    LeaveOut(LeaveOut),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Report {
    /// What each customer's datastores used between two days (both included, UTC); exits with 3 if files are held
    #[command(
        after_help = "Example: monthend report usage --from 2026-10-01 --to 2026-10-31 --format csv > usage.csv\n\
                            Without --to: until today; without --from: from the first of that month"
    )]
    Usage(ReportUsage),
    /// Revenue of a month or a window from the journal of money movements; exits with 3 if a line of it cannot be used
    #[command(after_help = "Example: monthend report revenue --month 2026-10\n\
                            Example: monthend report revenue --start 2026-10-01 --end 2027-01-01 --format json\n\
                            Example: monthend report revenue --example\n\
                            --format json prints the report of one currency as it was certified, of several a list of them")]
    Revenue(ReportRevenue),
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReportRevenue {
    /// The month (default: the one before this)
    #[arg(long, value_parser = begun, conflicts_with_all = ["start", "end", "example"])]
    pub(crate) month: Option<BillingMonth>,
    /// First moment of a window: a date or RFC 3339
    #[arg(long, value_name = "TIME", requires = "end", conflicts_with = "example")]
    pub(crate) start: Option<String>,
    /// First moment after it
    #[arg(long, value_name = "TIME", requires = "start")]
    pub(crate) end: Option<String>,
    /// Only this currency (default: one document for each)
    #[arg(long, value_name = "CODE")]
    pub(crate) currency: Option<String>,
    /// The worked example of docs/revenue.md, made from its journal in a cloud of its own
    #[arg(long)]
    pub(crate) example: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MeteringStatus {
    /// Only this month
    #[arg(long, value_parser = begun)]
    pub(crate) month: Option<BillingMonth>,
    /// Only this plan, service:environment:plan
    #[arg(long)]
    pub(crate) plan: Option<Plan>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct MeteringRun {
    /// Send only this month
    #[arg(long, value_parser = begun)]
    pub(crate) month: Option<BillingMonth>,
    /// Send only this contract
    #[arg(long)]
    pub(crate) contract: Option<String>,
    /// Only this plan, service:environment:plan
    #[arg(long)]
    pub(crate) plan: Option<Plan>,
    /// Use the sandbox providers
    #[arg(long)]
    pub(crate) sandbox: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImportState {
    /// The state file; - for standard input
    pub(crate) file: PathBuf,
    /// The plan, if the file is the state of a single one and does not say of which
    #[arg(long)]
    pub(crate) plan: Option<Plan>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExportState {
    /// Only this plan, service:environment:plan
    #[arg(long)]
    pub(crate) plan: Option<Plan>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Reopen {
    /// The first month to open
    #[arg(long, value_parser = begun)]
    pub(crate) month: BillingMonth,
    /// Why; it is recorded and shown
    #[arg(long, value_parser = reason)]
    pub(crate) reason: String,
    /// Who does; it is recorded and shown (default: the user who is signed in)
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) by: Option<String>,
    /// The plan, where there are several
    #[arg(long)]
    pub(crate) plan: Option<Plan>,
}

// a person's decision about a month that is metered; as documentation it would be the command's
#[derive(Debug, clap::Args)]
pub(crate) struct Decision {
    /// Why; it is recorded, certified and shown
    #[arg(long, value_parser = reason)]
    pub(crate) reason: String,
    /// Who does; it is recorded, certified and shown (default: the user who is signed in)
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) by: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GiveUp {
    /// The contract that the marketplace has ended
    #[arg(long)]
    pub(crate) contract: String,
    /// The month
    #[arg(long, value_parser = begun)]
    pub(crate) month: BillingMonth,
    #[command(flatten)]
    pub(crate) decision: Decision,
    /// Only of this plan, and of those whose usage is sent with it
    #[arg(long)]
    pub(crate) plan: Option<Plan>,
    /// Say what would be given up; change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LeaveOut {
    /// The plan whose usage is missing
    #[arg(long)]
    pub(crate) plan: Plan,
    /// The month
    #[arg(long, value_parser = begun)]
    pub(crate) month: BillingMonth,
    #[command(flatten)]
    pub(crate) decision: Decision,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ReportUsage {
    /// First day, YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = |text: &str| Window::day("--from", text))]
    pub(crate) from: Option<NaiveDate>,
    /// Last day, YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = |text: &str| Window::day("--to", text))]
    pub(crate) to: Option<NaiveDate>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Catalog {
    /// Find everything that is wrong with a catalog at once; exits with 1 if something is
    #[command(after_help = "Example: monthend catalog check examples/catalog.yaml")]
    Check {
        /// The document; - for standard input
        file: PathBuf,
    },
    /// Check a catalog, show what it changes, and put it in force
    #[command(after_help = "Example: monthend catalog apply catalog.yaml\n\
                            It stays under catalog/versions/ by the hash of its bytes")]
    Apply {
        /// The document; - for standard input
        file: PathBuf,
    },
    /// Print the catalog in force, or another version
    #[command(after_help = "Example: monthend catalog show > catalog.yaml\n\
                            Example: monthend catalog show 3f9a2c\n\
                            As it was written, with --format json as JSON, with --format csv how much each section has")]
    Show {
        /// The beginning of a version's hash
        version: Option<String>,
    },
    /// Compare two catalogs, entry by entry
    #[command(after_help = "Example: monthend catalog diff catalog.yaml\n\
                            Example: monthend catalog diff 3f9a2c 81d04e")]
    Diff {
        /// A file or a version; alone, it is compared with the one in force
        before: String,
        /// A file or a version
        after: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Set the password of the user admin, read from standard input; all sessions end
    #[command(after_help = "Example: monthend admin set-password < password.txt\n\
                            With --cloud aws the secret is the one that ADMIN_SECRET_ARN names (output AdminSecret of the stack),\n\
                            with SECRETS=vault the one at ADMIN_VAULT_PATH in Vault")]
    SetPassword,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeadLetters {
    /// Remove the one with this number; several times for several
    #[arg(long, value_name = "NUMBER")]
    pub(crate) remove: Vec<i64>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Reset {
    /// Also if the home holds your own data
    #[arg(long)]
    pub(crate) yes: bool,
}
