//! The program is killed before each step by which it changes a file of its home, or the disk is full there. The next
//! command must finish what was begun, and the end must be the undisturbed one.
//!
//! Every story is played in a copy of a prepared home, once for each step and way:
//!
//! | way | |
//! |---|---|
//! | kill | SIGKILL before the step |
//! | tear | SIGKILL in the middle of a write: half of its bytes are there |
//! | full | from the step on there is no space, until the next command |
//! | once | the step finds no space, the next one does |
//! | lose | the power fails before the step: of what was written only that is there which was synced |
//! | name | the same, and a name has changed only if its folder was synced |
//!
//! Then the same command again, in every other trial after a look with `monthend status`; and what the program shows of
//! the home is compared: status, listing, every object, and what else the story looks at.
//!
//! `KILLS=all` plays every step of every story, `KILLS=20` as many of each way; else the longer ones are a sample. `KILLS_SEED` plays the sample of
//! an earlier run; `KILLS_WAYS=kill,tear` only those ways; `KILLS_STEPS=12,13` only those steps; `KILLS_REPORT` names a file that the report is added to;
//! `KILLS_KEEP=1` keeps the homes of trials that did not end well; `KILLS_THREADS` (4), `KILLS_LIMIT` (60 seconds for a command); `MONTHEND_PROGRAM` names another program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

const SHIM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kills/shim.c");

const SEPTEMBER: &str = "BilledCost,EffectiveCost,BillingCurrency,BillingAccountId,BillingPeriodStart,ChargeCategory,ServiceName,SubAccountId,ProviderName\n\
                         100.004,100.004,USD,payer,2026-09-01,Usage,Compute,blue-prod,acme\n\
                         50,50,USD,payer,2026-09-01,Usage,Storage,red-prod,acme\n\
                         15,15,USD,payer,2026-09-01,Usage,Support,blue-prod,acme\n";
const CATALOG: &str = "currency: CHF\n\
                       customers:\n\
                       \x20 - {name: Team Blue, email: blue@example.com, cost_center: \"1000\"}\n\
                       \x20 - {name: Team Red, email: red@example.com, cost_center: \"2000\"}\n\
                       accounts:\n\
                       \x20 - {provider: acme, id: blue-prod, customer: Team Blue, percentage: 110}\n\
                       \x20 - {provider: acme, id: red-prod, customer: Team Red, percentage: 100}\n\
                       services:\n\
                       \x20 - {name: database, customer: Team Blue, components: [{component: managed-db, quantity: 2}]}\n\
                       components:\n\
                       \x20 - {name: managed-db, price: {fixed_per_service: 40, per_unit: 150}}\n\
                       pools:\n\
                       \x20 - {name: support, match: {provider: acme, service: Support}, split: {by: cost}, over: {provider: acme}}\n\
                       fx: {source: manual, rates: {2026-09: {USD: \"0.9\"}}}\n";
/// An invoice of Atlas whose lines are not its total.
const HELD: &str = r#"{"id": "i1", "orgId": "o1", "startDate": "2026-10-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z", "statusName": "PAID",
"subtotalCents": 900, "lineItems": [{"sku": "X", "groupId": "a", "groupName": "alpha", "totalPriceCents": 5}]}"#;

type Args = &'static [&'static str];

const BILLED: Args = &["bill", "--month", "2026-09"];
const IMPORT: Args = &["import", "september.csv"];
const APPLY: Args = &["catalog", "apply", "catalog.yaml"];
const PREVIEW: Args = &["bill", "--month", "2026-09", "--dry-run", "--format", "json"];

struct Story {
    name: &'static str,
    /// What makes the home.
    prepared: &'static [Args],
    /// What is taken out of it then; what made it notices that.
    without: Option<fn(&Path)>,
    /// What is killed.
    act: Args,
    /// What it is given to read.
    input: &'static str,
    /// Its exit code.
    ends: i32,
    /// What is done after it.
    then: &'static [Args],
    /// What else is compared in the end; it changes nothing.
    looks: &'static [Args],
    /// How many seconds later all of that is.
    later: u32,
    /// How many steps of each way are tried, unless all are.
    sample: [usize; WAYS.len()],
}

const STORY: Story = Story {
    name: "",
    prepared: &[],
    without: None,
    act: &[],
    input: "",
    ends: 0,
    then: &[],
    looks: &[],
    later: 0,
    sample: [24, 6, 6, 6, 6, 6],
};
/// Of a short story every kill is tried.
const SHORT: [usize; WAYS.len()] = [usize::MAX, 6, 8, 8, 8, 8];
const FEW: [usize; WAYS.len()] = [8, 2, 3, 3, 3, 3];

#[test]
fn a_first_start() {
    // the first that reads the ledger is the import
    play(&Story { name: "first start", act: &["status"], then: &[IMPORT], sample: SHORT, ..STORY });
}

#[test]
fn an_import() {
    play(&Story { name: "import", prepared: &[APPLY], act: IMPORT, looks: &[PREVIEW], ..STORY });
}

#[test]
fn an_import_of_a_corrected_file() {
    play(&Story {
        name: "re-import",
        prepared: &[APPLY, IMPORT],
        act: &["import", "corrected.csv", "--replace"],
        looks: &[PREVIEW],
        ..STORY
    });
}

#[test]
fn a_catalog_put_in_force() {
    play(&Story {
        name: "catalog apply",
        prepared: &[APPLY, IMPORT],
        act: &["catalog", "apply", "dearer.yaml"],
        looks: &[PREVIEW, &["catalog", "show"]],
        sample: SHORT,
        ..STORY
    });
}

#[test]
fn a_month_billed() {
    play(&Story {
        name: "bill",
        prepared: &[APPLY, IMPORT],
        act: BILLED,
        looks: &[PREVIEW],
        sample: FEW,
        ..STORY
    });
}

#[test]
fn a_month_metered() {
    play(&Story {
        name: "metering run",
        // the sandbox's export is written by it
        prepared: &[&["metering", "dry-run", "--sandbox"]],
        without: Some(most_days),
        act: &["metering", "run", "--sandbox"],
        looks: &[&["metering", "status", "--format", "json"], &["metering", "dry-run", "--format", "json"]],
        // one who died has a lease for a minute
        later: 120,
        sample: [4, 1, 1, 1, 1, 1],
        ..STORY
    });
}

/// Of the export, the first day and the tenth stand for the month: every trial reads all of it.
fn most_days(home: &Path) {
    let mut folders = vec![home.join("s3/omnistrate-export")];
    let mut days = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            // {year}/{month}/{day}
            let names = path.ancestors().take(3).map(|part| part.file_name().unwrap().len());
            if names.eq([2, 2, 4]) && !(path.ends_with("01") || path.ends_with("10")) {
                fs::remove_dir_all(&path).unwrap();
                days += 1;
            } else if path.is_dir() {
                folders.push(path);
            }
        }
    }
    assert!(days > 20, "the export has other folders: {days} days found");
}

#[test]
fn a_password_set() {
    play(&Story {
        name: "set-password",
        prepared: &[&["status"]],
        act: &["admin", "set-password"],
        input: PASSWORD,
        looks: &[SIGN_IN],
        sample: SHORT,
        ..STORY
    });
}

#[test]
fn a_document_given_up() {
    play(&Story {
        name: "dead letter",
        prepared: &[&["status"]],
        act: &["put", "held.json", "raw/atlas/o1/2026-10/i1/"],
        ends: 3,
        sample: FEW,
        ..STORY
    });
}

#[test]
fn the_steps_are_those_that_strace_sees() {
    let story = Story {
        name: "strace",
        prepared: &[APPLY, IMPORT],
        act: &["import", "corrected.csv", "--replace"],
        ..STORY
    };
    let stage = Stage::new(&story);
    let folder = stage.copy();
    let (log, seen, home) = (folder.join("log"), folder.join("strace"), folder.join("home"));
    let preload = format!("LD_PRELOAD={}", stage.shim.display());
    let [at_home, to_log] =
        [("KILLS_HOME", &home), ("KILLS_LOG", &log)].map(|(n, p)| format!("{n}={}", p.display()));
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-s", "0", "-e", "trace=file,desc", "-o"]).arg(&seen);
    command.args(["-E", &preload, "-E", &at_home, "-E", &to_log]).arg(program()).args(story.act);
    command.current_dir(stage.desk()).env("MONTHEND_HOME", &home).stdin(Stdio::null());
    let Ok(traced) = command.output() else {
        writeln!(std::io::stderr(), "strace is not installed: nothing is compared").unwrap();
        return;
    };
    assert!(traced.status.success(), "{}", String::from_utf8_lossy(&traced.stderr));
    let mut by_strace = Counts::new();
    for call in calls(&fs::read_to_string(&seen).unwrap()) {
        let below = ["/", "\"", ">"].iter().any(|end| call.contains(&format!("{}{end}", home.display())));
        let (name, _) = call.split_once('(').unwrap_or_default();
        // what failed changed nothing; what was opened may have been there
        if let (true, false, Some(kind)) = (below, call.contains("= -1 E"), kind_of(name)) {
            *by_strace.entry(kind).or_default() += 1;
        }
    }
    let mut by_shim = Counts::new();
    for line in fs::read_to_string(&log).unwrap().lines() {
        let kind = line.split(' ').nth(2).unwrap();
        if let Some(kind) = KINDS.iter().find(|known| **known == kind) {
            *by_shim.entry(kind).or_default() += 1;
        }
    }
    assert_eq!(by_shim, by_strace, "the shim sees what strace sees");
    assert!(by_shim.get("write") > Some(&20), "{by_shim:?}");
    writeln!(std::io::stderr(), "steps that strace sees, too: {by_shim:?}").unwrap();
}

type Counts = BTreeMap<&'static str, usize>;

/// Kinds of steps that are one system call each, also where they fail or change nothing.
const KINDS: [&str; 9] = ["write", "copy", "reserve", "rename", "link", "symlink", "mkdir", "unlink", "sync"];

fn kind_of(call: &str) -> Option<&'static str> {
    Some(match call {
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => "write",
        "copy_file_range" | "sendfile" | "splice" => "copy",
        "fallocate" => "reserve",
        "rename" | "renameat" | "renameat2" => "rename",
        "link" | "linkat" => "link",
        "symlink" | "symlinkat" => "symlink",
        "mkdir" | "mkdirat" => "mkdir",
        "unlink" | "unlinkat" => "unlink",
        "fsync" | "fdatasync" => "sync",
        _ => return None,
    })
}

/// The calls of a log of `strace -f`, which interrupts one by another.
fn calls(log: &str) -> Vec<String> {
    let (mut begun, mut calls) = (BTreeMap::new(), Vec::new());
    for line in log.lines() {
        let (process, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if let Some(beginning) = call.strip_suffix("<unfinished ...>") {
            begun.insert(process, beginning);
        } else if let Some((_, rest)) = call.split_once(" resumed>").filter(|_| call.starts_with("<...")) {
            calls.push(format!("{}{rest}", begun.remove(process).unwrap_or_default()));
        } else {
            calls.push(call.to_owned());
        }
    }
    calls
}

// --- playing ---

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Kill,
    Tear,
    Full,
    Once,
    Lose,
    Name,
}

const WAYS: [(Way, &str); 6] = [
    (Way::Kill, "kill"),
    (Way::Tear, "tear"),
    (Way::Full, "full"),
    (Way::Once, "once"),
    (Way::Lose, "lose"),
    (Way::Name, "name"),
];

impl Way {
    fn name(self) -> &'static str {
        WAYS.iter().find(|(way, _)| *way == self).unwrap().1
    }

    fn kills(self) -> bool {
        matches!(self, Self::Kill | Self::Tear) || self.cuts_power()
    }

    fn cuts_power(self) -> bool {
        matches!(self, Self::Lose | Self::Name)
    }
}

/// Instead of a step: the power fails when the command has ended. What it acknowledged must be there.
const AFTER_ALL: usize = 0;

/// What became of a trial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// As if nothing had been.
    Same,
    /// The step was not reached: threads do not always take the same.
    Missed,
    /// The next command failed, and so did two more.
    Stuck(String),
    /// The next command failed, a later one did not.
    Late(String),
    /// All went well, but notifications wait.
    Waits(String),
    /// All went well, but the end is another.
    Differs(String),
    /// The disk was full, and what was said does not say so.
    Unclear(String),
}

/// One step, as the undisturbed run took it.
struct Step {
    number: usize,
    /// Which one it is of those that need space.
    filling: usize,
    kind: String,
    path: String,
}

type Picture = BTreeMap<String, String>;

struct Stage<'a> {
    story: &'a Story,
    folder: PathBuf,
    _folder: tempfile::TempDir,
    shim: PathBuf,
    limit: Duration,
    trials: AtomicUsize,
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str, default: u64) -> u64 {
    setting(name)
        .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn program() -> String {
    setting("MONTHEND_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_monthend").to_owned())
}

fn play(story: &Story) {
    let began = Instant::now();
    let stage = Stage::new(story);
    let (steps, expected) = stage.undisturbed();
    let seed = number("KILLS_SEED", SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs());
    let trials = stage.choose(&steps, seed);
    let next = AtomicUsize::new(0);
    let ends = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..number("KILLS_THREADS", 4) {
            scope.spawn(|| {
                while let Some((way, at)) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (hit, end) = stage.attempt(*way, *at, &expected);
                    ends.lock().unwrap().push((*way, *at, hit, end));
                }
            });
        }
    });
    let mut ends = ends.into_inner().unwrap();
    ends.sort();
    let report = report(story, &steps, &ends, seed, began.elapsed());
    std::io::stderr().write_all(report.as_bytes()).unwrap();
    if let Some(path) = setting("KILLS_REPORT") {
        File::options().create(true).append(true).open(path).unwrap().write_all(report.as_bytes()).unwrap();
    }
    let failed = ends.iter().filter(|(.., end)| !matches!(end, End::Same | End::Missed)).count();
    assert_eq!(failed, 0, "{failed} of {} trials did not end well, see the report", ends.len());
}

fn report(
    story: &Story,
    steps: &[Step],
    ends: &[(Way, usize, String, End)],
    seed: u64,
    took: Duration,
) -> String {
    let filling = steps.iter().filter(|step| step.filling > 0).count();
    let mut lines = vec![format!(
        "{}: {} steps, {filling} of them need space; seed {seed}; {} s",
        story.name,
        steps.len(),
        took.as_secs()
    )];
    for (way, name) in WAYS {
        let of_way: Vec<_> = ends.iter().filter(|(of, ..)| *of == way).collect();
        let count = |wanted: fn(&End) -> bool| of_way.iter().filter(|(.., end)| wanted(end)).count();
        if of_way.is_empty() {
            continue;
        }
        lines.push(format!(
            "  {name}: {} tried, {} stuck, {} only the second time, {} wait, {} differ, {} unclear, {} not reached",
            of_way.len(),
            count(|end| matches!(end, End::Stuck(_))),
            count(|end| matches!(end, End::Late(_))),
            count(|end| matches!(end, End::Waits(_))),
            count(|end| matches!(end, End::Differs(_))),
            count(|end| matches!(end, End::Unclear(_))),
            count(|end| *end == End::Missed),
        ));
    }
    for (way, at, hit, end) in ends {
        if !matches!(end, End::Same | End::Missed) {
            lines.push(format!("    {} {at} ({hit}): {end:?}", way.name()));
        }
    }
    lines.join("\n") + "\n"
}

struct Answer {
    code: Option<i32>,
    killed: bool,
    hung: bool,
    out: Vec<u8>,
    err: String,
}

/// What is planned for a command, and where the shim notes what it did.
struct Plan<'a> {
    home: &'a Path,
    log: &'a Path,
    what: Option<String>,
    /// Where the home stands as a power cut would leave it.
    shadow: Option<&'a Path>,
}

pub(super) fn build(shim: &Path) {
    let built = Command::new("cc")
        .args(["-std=gnu11", "-Wall", "-Wextra", "-O2", "-shared", "-fPIC", "-o"])
        .args([shim.as_os_str(), SHIM.as_ref(), "-ldl".as_ref()])
        .output()
        .expect("cc builds the shim");
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success() && said.is_empty(), "{said}");
}

impl<'a> Stage<'a> {
    /// The shim, the files that are brought, and the prepared home.
    fn new(story: &'a Story) -> Self {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let mut made = tempfile::Builder::new().prefix("kills-").tempdir_in(base).unwrap();
        made.disable_cleanup(setting("KILLS_KEEP").is_some());
        let folder = made.path().canonicalize().unwrap();
        let stage = Self {
            story,
            shim: folder.join("shim.so"),
            folder,
            _folder: made,
            limit: Duration::from_secs(number("KILLS_LIMIT", 60)),
            trials: AtomicUsize::new(0),
        };
        build(&stage.shim);
        fs::create_dir(stage.desk()).unwrap();
        for (name, content) in [
            ("september.csv", SEPTEMBER.to_owned()),
            ("corrected.csv", SEPTEMBER.replace("100.004", "101.004")),
            ("catalog.yaml", CATALOG.to_owned()),
            ("dearer.yaml", CATALOG.replace("per_unit: 150", "per_unit: 160")),
            ("held.json", HELD.to_owned()),
        ] {
            fs::write(stage.desk().join(name), content).unwrap();
        }
        let prepared = stage.folder.join("prepared");
        fs::create_dir(&prepared).unwrap();
        stage.prepare(&prepared);
        if let Some(without) = story.without {
            without(&prepared.join("home"));
            stage.prepare(&prepared);
        }
        stage
    }

    fn prepare(&self, folder: &Path) {
        for args in self.story.prepared {
            let answer = self.run(folder, args, "", None);
            assert_eq!(answer.code, Some(0), "{args:?}: {}", answer.err);
        }
    }

    fn desk(&self) -> PathBuf {
        self.folder.join("desk")
    }

    fn command(&self, folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).current_dir(self.desk()).env_clear().env("MONTHEND_HOME", folder.join("home"));
        command
    }

    /// Runs a command on the home of a folder, beside which its output goes.
    fn run(&self, folder: &Path, args: &[&str], input: &str, plan: Option<&Plan>) -> Answer {
        let [given, out, err] = ["in", "out", "err"].map(|name| folder.join(name));
        fs::write(&given, input).unwrap();
        let mut command = self.command(folder, args);
        command.stdin(File::open(&given).unwrap());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        command.env("LD_PRELOAD", &self.shim);
        if plan.is_none() && !folder.ends_with("prepared") {
            command.env("KILLS_AHEAD", self.story.later.to_string());
        }
        if let Some(plan) = plan {
            command.env("KILLS_HOME", plan.home).env("KILLS_LOG", plan.log);
            command.envs(plan.shadow.iter().map(|shadow| ("KILLS_SHADOW", shadow)));
            command.envs(plan.what.iter().map(|what| ("KILLS_PLAN", what)));
        }
        let mut child = command.spawn().unwrap();
        let began = Instant::now();
        let (status, hung) = loop {
            match child.try_wait().unwrap() {
                Some(status) => break (status, false),
                None if began.elapsed() > self.limit => {
                    child.kill().unwrap();
                    break (child.wait().unwrap(), true);
                }
                None => std::thread::sleep(Duration::from_millis(3)),
            }
        };
        Answer {
            code: status.code(),
            killed: status.signal() == Some(9) && !hung,
            hung,
            out: fs::read(&out).unwrap(),
            err: String::from_utf8_lossy(&fs::read(&err).unwrap()).into_owned(),
        }
    }

    /// A copy of the prepared home in a folder of its own.
    fn copy(&self) -> PathBuf {
        let folder = self.folder.join(format!("trial-{}", self.trials.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&folder).unwrap();
        let prepared = self.folder.join("prepared/home");
        if prepared.is_dir() {
            copy(&prepared, &folder.join("home"));
        }
        folder
    }

    /// The steps of the undisturbed run, and its end, which is the same if it is run once more.
    fn undisturbed(&self) -> (Vec<Step>, Picture) {
        let folder = self.copy();
        let log = folder.join("log");
        let plan = Plan { home: &folder.join("home"), log: &log, what: None, shadow: None };
        let answer = self.run(&folder, self.story.act, self.story.input, Some(&plan));
        assert_eq!(answer.code, Some(self.story.ends), "{}", answer.err);
        let steps = read_steps(&fs::read_to_string(&log).unwrap());
        let expected = self.look(&folder).unwrap();
        let again = self.run(&folder, self.story.act, self.story.input, None);
        assert_eq!(again.code, Some(self.story.ends), "again: {}", again.err);
        let repeated = self.look(&folder).unwrap();
        assert_eq!(difference(&expected, &repeated), None, "the same command again changes something");
        fs::remove_dir_all(folder).unwrap();

        let folder = self.copy();
        self.run(&folder, self.story.act, self.story.input, None);
        let other = self.look(&folder).unwrap();
        assert_eq!(difference(&expected, &other), None, "what differs of each run must be named");
        fs::remove_dir_all(folder).unwrap();
        (steps, expected)
    }

    fn choose(&self, steps: &[Step], seed: u64) -> Vec<(Way, usize)> {
        let many = match setting("KILLS").as_deref() {
            None => None,
            Some("all") => Some(usize::MAX),
            Some(many) => Some(many.parse().expect("KILLS is all or a number")),
        };
        let wanted =
            setting("KILLS_WAYS").map(|wanted| wanted.split(',').map(str::to_owned).collect::<Vec<_>>());
        for wanted in wanted.iter().flatten() {
            assert!(WAYS.iter().any(|(_, name)| name == wanted), "KILLS_WAYS: there is no way {wanted}");
        }
        let only: Option<Vec<usize>> =
            setting("KILLS_STEPS").map(|steps| steps.split(',').map(|step| step.parse().unwrap()).collect());
        let mut random = Random(seed | 1);
        let mut trials = Vec::new();
        for ((way, name), sample) in WAYS.into_iter().zip(self.story.sample) {
            if wanted.as_ref().is_some_and(|wanted| !wanted.iter().any(|wanted| wanted == name)) {
                continue;
            }
            let (mut exports, mut others) = (Vec::new(), Vec::new());
            if way.cuts_power() && only.is_none() {
                trials.push((way, AFTER_ALL));
            }
            for step in steps {
                let at = match way {
                    Way::Kill | Way::Lose | Way::Name => step.number,
                    Way::Tear if step.kind == "write" => step.number,
                    Way::Full | Way::Once if step.filling > 0 => step.filling,
                    Way::Tear | Way::Full | Way::Once => continue,
                };
                // what a provider's sandbox exports are thousands of files, one like the other
                if step.path.contains("omnistrate") || step.path.contains("dataexports") {
                    exports.push((way, at));
                } else {
                    others.push((way, at));
                }
            }
            if let Some(only) = &only {
                trials.extend(others.into_iter().chain(exports).filter(|(_, at)| only.contains(at)));
                continue;
            }
            let sample = many.unwrap_or(sample);
            trials.extend(random.some(others, sample));
            trials.extend(random.some(exports, if sample == usize::MAX { sample } else { sample / 8 }));
        }
        trials
    }

    fn attempt(&self, way: Way, at: usize, expected: &Picture) -> (String, End) {
        let folder = self.copy();
        let log = folder.join("hit");
        let (home, act, input) = (folder.join("home"), self.story.act, self.story.input);
        let shadow = folder.join("shadow");
        if way == Way::Name {
            fs::create_dir(folder.join("shadow.files")).unwrap();
        }
        if way.cuts_power() && home.is_dir() {
            copy(&home, &shadow);
            number_files(&home, &shadow, &folder.join("shadow.files"));
        }
        let plan = Plan {
            home: &home,
            log: &log,
            what: Some(format!("{}:{at}", way.name())),
            shadow: way.cuts_power().then_some(&shadow),
        };
        let first = self.run(&folder, act, input, Some(&plan));
        if way.cuts_power() {
            let _ = fs::remove_dir_all(&home); // a first start may not have made it
            let _ = fs::rename(&shadow, &home);
        }
        let hit = fs::read_to_string(&log).unwrap_or_default();
        let hit = hit.split(' ').skip(2).collect::<Vec<_>>().join(" ").trim().to_owned();
        let hit = hit.replace(&format!("{}/", home.display()), "");
        let hit = if at == AFTER_ALL { "after all".into() } else { hit };
        let end = self.follow(way, at, &folder, &first, &hit, expected);
        if setting("KILLS_KEEP").is_none() || matches!(end, End::Same | End::Missed) {
            fs::remove_dir_all(&folder).unwrap();
        }
        (hit, end)
    }

    /// What a user does then.
    fn follow(
        &self,
        way: Way,
        at: usize,
        folder: &Path,
        first: &Answer,
        hit: &str,
        expected: &Picture,
    ) -> End {
        if hit.is_empty() {
            return End::Missed;
        }
        if at == AFTER_ALL {
            return self.compare(folder, expected);
        }
        if way.kills() && !first.killed {
            return End::Stuck(format!("hit and not dead: {}", self.last(folder, first)));
        }
        if first.hung {
            let again = self.run(folder, self.story.act, self.story.input, None);
            // it waits until nothing waits
            let put = self.run(folder, &["put", "catalog.yaml", "notes/"], "", None);
            let [first, again, put] = [first, &again, &put].map(|answer| self.last(folder, answer));
            return End::Stuck(format!("no space: {first}; with space again: {again}; then a put: {put}"));
        }
        if at % 2 == 1 {
            let status = self.run(folder, &["status"], "", None);
            if !matches!(status.code, Some(0 | 3)) {
                return End::Stuck(format!("status: {}", self.last(folder, &status)));
            }
        }
        let (act, input) = (self.story.act, self.story.input);
        let again = self.run(folder, act, input, None);
        if again.hung {
            return End::Stuck(format!("again: {}", self.last(folder, &again)));
        }
        if again.code != Some(self.story.ends) {
            let said = self.last(folder, &again);
            let late = (0..2).any(|_| self.run(folder, act, input, None).code == Some(self.story.ends));
            return if late { End::Late(said) } else { End::Stuck(format!("again: {said}")) };
        }
        let end = self.compare(folder, expected);
        if end != End::Same {
            return end;
        }
        let failed = !way.kills() && first.code != Some(self.story.ends);
        let said = first.err.to_lowercase();
        if failed && !(said.contains("no space left") || said.contains("disk is full")) {
            return End::Unclear(self.last(folder, first));
        }
        End::Same
    }

    fn compare(&self, folder: &Path, expected: &Picture) -> End {
        match self.look(folder) {
            Err(said) => End::Stuck(said),
            Ok(found) => match difference(expected, &found) {
                None => End::Same,
                Some(said) if found["status"].contains("wait for delivery") => End::Waits(said),
                Some(said) => End::Differs(said),
            },
        }
    }

    /// What the program shows of the home.
    fn look(&self, folder: &Path) -> Result<Picture, String> {
        for args in self.story.then {
            let answer = self.run(folder, args, "", None);
            if answer.code != Some(0) {
                return Err(format!("{}: {}", args.join(" "), self.last(folder, &answer)));
            }
        }
        let mut picture = Picture::new();
        let ask = |args: &[&str]| {
            let answer = self.run(folder, args, "", None);
            match answer.code {
                Some(0 | 3) => Ok(answer),
                _ => Err(format!("{}: {}", args.join(" "), self.last(folder, &answer))),
            }
        };
        let status = ask(&["status", "--format", "json"])?;
        picture.insert("status ends with".into(), status.code.unwrap_or_default().to_string());
        picture.insert("status".into(), plain(&status.out, folder));
        let listed = String::from_utf8(ask(&["ls", "--format", "csv"])?.out).unwrap();
        for line in listed.lines().skip(1) {
            // the third column is the time
            let mut cells = line.split(',');
            let (key, size) = (cells.next().unwrap(), cells.next().unwrap());
            let object = ask(&["cat", key])?.out;
            picture.insert(format!("size of {key}"), size.into());
            picture.insert(key.into(), plain(&object, folder));
        }
        for args in self.story.looks {
            let shown = match *args {
                SIGN_IN => self.sign_in(folder)?,
                args => plain(&ask(args)?.out, folder),
            };
            picture.insert(args.join(" "), shown);
        }
        Ok(picture)
    }

    /// The end of what a command said.
    fn last(&self, folder: &Path, answer: &Answer) -> String {
        let home = folder.join("home").display().to_string();
        let said: Vec<&str> = answer.err.lines().filter(|line| !line.trim().is_empty()).collect();
        let error = said.iter().rfind(|line| line.contains("error")).or(said.last());
        let said = error.map_or_else(String::new, |line| line.replace(&home, "HOME"));
        let said: String = said.chars().take(200).collect();
        match (answer.hung, answer.code) {
            (true, _) => format!("hangs: {said}"),
            (false, Some(code)) => format!("ends with {code}: {said}"),
            (false, None) => format!("ends by a signal: {said}"),
        }
    }

    /// What the console answers to the password, at ports that nobody else has.
    fn sign_in(&self, folder: &Path) -> Result<String, String> {
        let mut answer = self.sign_in_once(folder);
        for _ in 0..10 {
            if !matches!(&answer, Err(said) if said.contains("in use")) {
                break;
            }
            answer = self.sign_in_once(folder);
        }
        answer
    }

    fn sign_in_once(&self, folder: &Path) -> Result<String, String> {
        let number = self.trials.fetch_add(1, Ordering::Relaxed);
        let base = 10_000 + (std::process::id() as usize * 640 + number * 16) % 20_000;
        let out = folder.join("up");
        let mut command = self.command(folder, &["up", "--format", "json", "--port-base", &base.to_string()]);
        command.stdin(Stdio::null()).stdout(File::create(&out).unwrap());
        let mut up = command.stderr(File::create(folder.join("err")).unwrap()).spawn().unwrap();
        let began = Instant::now();
        let mut answer = Err("up does not begin".to_owned());
        while began.elapsed() < self.limit && up.try_wait().unwrap().is_none() {
            let said: Option<Value> = serde_json::from_str(&fs::read_to_string(&out).unwrap()).ok();
            let Some(said) = said else {
                std::thread::sleep(Duration::from_millis(3));
                continue;
            };
            answer = Ok(ask_console(said["console"].as_str().unwrap()));
            break;
        }
        let _ = up.kill(); // it may have ended
        up.wait().unwrap();
        answer.map_err(|error| format!("{error}: {}", fs::read_to_string(folder.join("err")).unwrap()))
    }
}

const PASSWORD: &str = "correct horse battery\n";
/// `admin` and the password.
const BASIC: &str = "YWRtaW46Y29ycmVjdCBob3JzZSBiYXR0ZXJ5";
const SIGN_IN: Args = &["the password signs in"];

/// The status line of the usage report.
fn ask_console(console: &str) -> String {
    let address = console.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let report = "/api/admin/datastores/billing/usage/csv?from=2026-09-01&to=2026-09-30";
    let head = format!("Host: {address}\r\nAuthorization: Basic {BASIC}\r\nConnection: close");
    stream.write_all(format!("GET {report} HTTP/1.1\r\n{head}\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (kind, to) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path()).unwrap(), to).unwrap();
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Links the files of a shadow under the numbers that their originals have, if the folder for that is there.
fn number_files(home: &Path, shadow: &Path, numbered: &Path) {
    if !numbered.is_dir() {
        return;
    }
    for entry in fs::read_dir(home).unwrap() {
        let entry = entry.unwrap();
        let (found, shadow) = (entry.metadata().unwrap(), shadow.join(entry.file_name()));
        if found.is_dir() {
            number_files(&entry.path(), &shadow, numbered);
        } else if found.is_file() {
            // a file with several names is copied once for each
            let _ = fs::hard_link(shadow, numbered.join(found.ino().to_string()));
        }
    }
}

/// The log of the shim; what it notes of syncs is no step.
fn read_steps(log: &str) -> Vec<Step> {
    let step = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let mut next = || words.next().unwrap_or_default().to_owned();
        let (number, filling) = (next().parse().unwrap(), next().parse().unwrap());
        Step { number, filling, kind: next(), path: next() }
    };
    log.lines().map(step).filter(|step| step.number > 0).collect()
}

/// What Clazar replies to a record that was sent by a process which died before it read the answer.
const HELD_ALREADY: &str =
    "A metering record for the same contract_id and dimension already exists in the same hour.";
/// Members of documents that are of their run: times, and how often something was sent.
const OF_THE_RUN: [&str; 4] = ["since", "fetched_at", "last_updated", "attempts"];

/// A document without what is of its run alone, and without the names of notifications.
fn plain(bytes: &[u8], folder: &Path) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
        return bytes.escape_ascii().to_string();
    };
    let home = folder.join("home").display().to_string();
    clean(&mut value, &home);
    serde_json::to_string_pretty(&value).unwrap()
}

fn clean(value: &mut Value, home: &str) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if name == "reply" && *member == HELD_ALREADY {
                    *member = Value::from("");
                }
                if OF_THE_RUN.contains(&name.as_str()) && member.is_string() {
                    *member = Value::from("of the run");
                }
                // what is given up may be given up twice: events are delivered at least once
                if let ("remarks", Value::Array(remarks)) = (name.as_str(), &mut *member) {
                    remarks.iter_mut().for_each(|remark| clean(remark, home));
                    let texts: BTreeSet<String> = remarks.iter().map(ToString::to_string).collect();
                    *member = texts.into_iter().map(Value::from).collect();
                    continue;
                }
                clean(member, home);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| clean(item, home)),
        Value::String(text) => *text = without_notification(&text.replace(home, "HOME")),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Dead letters have numbers: an event that is given up again has another one. Homes of older versions name files by their time
/// (20261130T172631768501-14175-000000).
fn without_notification(text: &str) -> String {
    let is_name = |word: &str| {
        let (day, rest) = word.split_at_checked(8).unwrap_or_default();
        rest.len() > 10 && rest.starts_with('T') && day.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut pieces = text.split("(dead letter ");
    let first = pieces.next().unwrap_or_default().to_owned();
    let numbered = pieces.map(|piece| piece.trim_start_matches(|c: char| c.is_ascii_digit()));
    let text = numbered.fold(first, |text, piece| text + "(dead letter N" + piece);
    let parts = text.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let shown = |part: &str| match is_name(part) {
        true => format!("NOTIFICATION{}", &part[part.len() - 1..]),
        false => part.into(),
    };
    parts.map(shown).collect()
}

/// What is not the same: how much, and the first of it.
fn difference(expected: &Picture, found: &Picture) -> Option<String> {
    let names: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differ: Vec<&String> =
        names.into_iter().filter(|name| expected.get(*name) != found.get(*name)).collect();
    let first = differ.iter().find(|name| name.starts_with("status")).or(differ.first())?;
    let said = match (expected.get(*first), found.get(*first)) {
        (Some(_), None) => "is missing".to_owned(),
        (Some(value), Some(other)) => {
            let same = value.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
            let part = |text: &str| {
                let part: String = text.chars().skip(same.saturating_sub(20)).take(120).collect();
                part.split_whitespace().collect::<Vec<_>>().join(" ")
            };
            format!("'{}' instead of '{}'", part(other), part(value))
        }
        (None, _) => "was not there".to_owned(),
    };
    Some(format!("{} differ; {first} {said}", differ.len()))
}

/// xorshift: a sample must come again from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap()
    }

    fn some<T>(&mut self, mut from: Vec<T>, count: usize) -> Vec<T> {
        let mut taken = Vec::new();
        while taken.len() < count && !from.is_empty() {
            let at = self.next() % from.len();
            taken.push(from.swap_remove(at));
        }
        taken
    }
}
