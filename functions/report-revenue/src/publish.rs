//! What others read: the reports of a window with their tables and certificates, or the reason why they are held.
//!
//! Each is a function of the journal and the catalog as they stand. They are written by one step, repeated until it finds
//! nothing to write: note what stands there, read everything, write what differs if what was noted still stands. Whoever writes has
//! therefore read everything after everyone who wrote before, and looks again after its own writes. So the order of notifications does not
//! matter, nor how many are at work at once.

use billing::keys::RevenueKey;
use billing::money::Currency;
use billing::revenue::Window;
use bytes::Bytes;
use cloud::bucket::{Listed, Written};
use cloud::publication::Rounds;
use serde_json::json;

use crate::inputs::Inputs;
use crate::make::{Held, Made, make};
use crate::report::{WindowReport, WindowState};
use crate::{App, Reader, WindowError};
use billing::certificate::Certified;

const CSV: &str = "text/csv; charset=utf-8";
const JSON: &str = "application/json";

/// What stands of a window before it is read.
struct Standing {
    objects: Vec<Listed>,
    /// The note that it is held: its bytes and its ETag.
    note: Option<(Bytes, String)>,
}

/// What is to stand under a key.
struct Output {
    key: String,
    bytes: Vec<u8>,
    content_type: &'static str,
}

impl Reader {
    /// What would come out.
    pub(crate) async fn look(&self, window: Window) -> Result<WindowReport, WindowError> {
        let standing = self.standing(&window).await?;
        let inputs = self.inputs(&window).await?;
        let made = make(window, &inputs, &self.rules, &standing.currencies(&window))?;
        Ok(WindowReport::of(window, &made, &inputs, WindowState::Preview))
    }

    async fn standing(&self, window: &Window) -> Result<Standing, WindowError> {
        let name = window.to_string();
        let mut objects = self.bucket.list(&RevenueKey::beginning(&name)).await?;
        objects.extend(self.bucket.list(&format!("certificates/revenue/{name}-")).await?);
        let note = self.bucket.get(&RevenueKey::held(&name), None).await?;
        Ok(Standing { objects, note: note.map(|note| (note.bytes, note.etag)) })
    }

    /// Whether these bytes stand there already.
    async fn stands(&self, output: &Output, standing: Option<&Listed>) -> Result<bool, WindowError> {
        let Some(standing) = standing else { return Ok(false) };
        if u64::try_from(standing.size_bytes).ok() != u64::try_from(output.bytes.len()).ok() {
            return Ok(false);
        }
        let object = self.bucket.get(&output.key, None).await?;
        Ok(object.is_some_and(|object| object.bytes == output.bytes))
    }
}

impl Standing {
    fn currencies(&self, window: &Window) -> Vec<Currency> {
        let window = window.to_string();
        self.objects.iter().filter_map(|object| RevenueKey::currency_of(&window, &object.key)).collect()
    }
}

impl App {
    /// Brings the reports of a window up to date.
    pub(crate) async fn publish(&self, window: Window) -> Result<WindowReport, WindowError> {
        let (mut read, mut written) = (None::<Inputs>, 0);
        let mut rounds = Rounds::of(format!("the reports of {window}"));
        loop {
            rounds.begin()?;
            let standing = self.reader.standing(&window).await?;
            let inputs = match read.take() {
                Some(inputs) if self.reader.still_stands(&inputs, &window).await? => inputs,
                _ => self.reader.inputs(&window).await?,
            };
            let made = make(window, &inputs, &self.reader.rules, &standing.currencies(&window))?;
            let settled = match &made {
                Made::Reports(_) => self.settle(&window, &made, &standing).await?,
                Made::Held(held) => self.hold(&window, held, &standing).await?,
            };
            match settled {
                0 => {
                    let state = match written {
                        0 => WindowState::Unchanged,
                        _ => WindowState::Published,
                    };
                    return Ok(WindowReport::of(window, &made, &inputs, state));
                }
                writes => written += writes,
            }
            read = Some(inputs);
        }
    }

    /// Writes what differs, certificates last; answers how much that was.
    async fn settle(&self, window: &Window, made: &Made, standing: &Standing) -> Result<usize, WindowError> {
        let Made::Reports(statements) = made else { return Ok(0) };
        let mut writes = 0;
        for statement in statements {
            let key = RevenueKey::new(&window.to_string(), statement.currency);
            let certificate = statement.certificate.to_json()?;
            for (key, bytes, content_type) in [
                (key.table(), statement.table.clone(), CSV),
                (key.report(), statement.report.clone(), JSON),
                (key.certificate(), certificate, JSON),
            ] {
                let output = Output { key, bytes, content_type };
                let noted = standing.objects.iter().find(|object| object.key == output.key);
                if self.reader.stands(&output, noted).await? {
                    continue;
                }
                writes += 1;
                let Output { key, bytes, content_type } = output;
                let seen = noted.map(|noted| noted.etag.clone());
                if self.bucket.replace(&key, bytes, content_type, seen).await? == Written::Refused {
                    return Ok(writes); // somebody was quicker: begin again
                }
            }
        }
        // a note that stands there is no longer so
        if standing.note.is_some() {
            let name = window.to_string();
            let released = json!({
                "document": format!("reports/revenue/{name}"), "status": "released",
                "reason": "the journal can be read again, and the reports are published", "software": billing::SOFTWARE,
            });
            writes += self.note(window, &released, standing).await?;
        }
        Ok(writes)
    }

    /// Notes why the window is held. What was published stays.
    async fn hold(&self, window: &Window, held: &Held, standing: &Standing) -> Result<usize, WindowError> {
        let note = json!({
            "document": format!("reports/revenue/{window}"), "status": "held", "reason": held.reason, "problems": held.problems,
            "problem_count": held.count, "software": billing::SOFTWARE,
        });
        self.note(window, &note, standing).await
    }

    async fn note(
        &self,
        window: &Window,
        note: &serde_json::Value,
        standing: &Standing,
    ) -> Result<usize, WindowError> {
        let bytes = billing::canonical::to_json(note)?;
        let (seen, etag) = standing.note.clone().unzip();
        if seen.is_some_and(|seen| seen == bytes) {
            return Ok(0);
        }
        self.bucket.replace(&RevenueKey::held(&window.to_string()), bytes, JSON, etag).await?;
        Ok(1)
    }
}
