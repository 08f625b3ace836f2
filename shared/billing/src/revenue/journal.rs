//! The journal of a window: all files, each line once.
//!
//! Costs O(n log n) time; texts borrow from the files, so that a million movements cost their files and one struct a line.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::line::{Line, Usage, read};
use super::movement::{Item, Movement};
use super::problem::{LineProblem, Problem, Problems};
use crate::catalog::Offer;
use crate::month::BillingMonth;

/// A file of the journal.
#[derive(Clone, Copy, Debug)]
pub struct JournalFile<'a> {
    /// Its key.
    pub key: &'a str,
    /// The month of its folder.
    pub month: BillingMonth,
    /// Its lines.
    pub bytes: &'a [u8],
}

/// Movements and usage of all files, each once, whatever the order of the files.
pub struct Journal<'a> {
    sheets: Vec<Sheet<'a>>,
    /// By service, month, plugin and id.
    pub(super) usage: Vec<Usage<'a>>,
    pub(super) lines: u64,
    pub(super) repeated: u64,
}

/// What one file says.
#[derive(Default)]
struct Sheet<'a> {
    movements: Vec<Kept<'a>>,
    usage: Vec<(usize, Usage<'a>)>,
    lines: u64,
    problems: Problems,
}

struct Kept<'a> {
    line: usize,
    movement: Movement<'a>,
    /// Of its id.
    hash: u64,
    /// Whether another line says the same, which counts.
    repeats: bool,
}

impl<'a> Journal<'a> {
    /// Reads all files, as many at once as there are workers. Lines are unique by `id`, usage by service, month, plugin and `id`: the same
    /// again counts once.
    ///
    /// # Errors
    /// [`Problems`], with every line that cannot be used, and every one that contradicts another.
    pub fn read(files: &[JournalFile<'a>], offer: &Offer, workers: usize) -> Result<Self, Problems> {
        let mut files: Vec<JournalFile<'a>> = files.to_vec();
        files.sort_by_key(|file| file.key);
        let mut sheets = sheets(&files, offer, workers);
        let mut problems = Problems::default();
        for sheet in &mut sheets {
            problems.append(std::mem::take(&mut sheet.problems));
        }
        let (mut conflicts, of_movements) = mark_repeated(&mut sheets, &files);
        let (usage, of_usage) = unique_usage(&mut sheets, &files, &mut conflicts);
        problems.append(Problems { count: conflicts.len(), first: conflicts });
        if problems.count > 0 {
            return Err(problems);
        }
        let lines = sheets.iter().map(|sheet| sheet.lines).sum();
        Ok(Self { sheets, usage, lines, repeated: of_movements + of_usage })
    }

    /// All movements, each once, by file and line.
    pub fn movements(&self) -> impl Iterator<Item = &Movement<'a>> {
        let kept = self.sheets.iter().flat_map(|sheet| &sheet.movements);
        kept.filter(|kept| !kept.repeats).map(|kept| &kept.movement)
    }
}

/// What each file says, in their order.
fn sheets<'a>(files: &[JournalFile<'a>], offer: &Offer, workers: usize) -> Vec<Sheet<'a>> {
    let workers = workers.min(files.len());
    if workers < 2 {
        return files.iter().map(|file| Sheet::read(file, offer)).collect();
    }
    let next = AtomicUsize::new(0);
    let work = || {
        let mut read = Vec::new();
        while let Some((index, file)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            files.get(index).map(|file| (index, file))
        } {
            read.push((index, Sheet::read(file, offer)));
        }
        read
    };
    let mut read: Vec<(usize, Sheet<'a>)> = thread::scope(|scope| {
        let others: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut read = work();
        for other in others {
            read.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        read
    });
    read.sort_by_key(|(index, _)| *index);
    read.into_iter().map(|(_, sheet)| sheet).collect()
}

impl<'a> Sheet<'a> {
    fn read(file: &JournalFile<'a>, offer: &Offer) -> Self {
        let (mut sheet, mut types) = (Self::default(), Types::default());
        sheet.movements.reserve_exact(file.bytes.iter().filter(|byte| **byte == b'\n').count() + 1);
        for (number, line) in (1..).zip(file.bytes.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            sheet.lines += 1;
            let text = std::str::from_utf8(line).map_err(|_| Problem::Encoding);
            match text.and_then(|text| read(text, file.month, offer)) {
                Ok(Line::Movement(mut movement)) => {
                    movement
                        .invoice
                        .iter_mut()
                        .flat_map(|invoice| &mut invoice.items)
                        .for_each(|item| types.share(item));
                    let hash = hash(&movement.id);
                    sheet.movements.push(Kept { line: number, movement, hash, repeats: false });
                }
                Ok(Line::Usage(usage)) => sheet.usage.push((number, usage)),
                Err(problem) => {
                    sheet.problems.add(|| LineProblem { file: file.key.to_owned(), line: number, problem });
                }
            }
        }
        sheet
    }
}

/// The few item types of a file. Items that have the same share one text, so that a report that goes through them by service does not
/// fetch a far place of the file for each.
#[derive(Default)]
struct Types<'a>(Vec<&'a str>);

impl<'a> Types<'a> {
    /// Item types kept at most.
    const MOST: usize = 64;

    fn share(&mut self, item: &mut Item<'a>) {
        let Cow::Borrowed(text) = item.item_type else { return };
        match self.0.iter().find(|known| **known == text) {
            Some(known) => item.item_type = Cow::Borrowed(known),
            None if self.0.len() < Self::MOST => self.0.push(text),
            None => {}
        }
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

/// Marks movements that say the same as one before; answers those that say something else, and how many are marked. Equal ids have equal
/// hashes, so only neighbours in the order of the hashes are compared: cheaper than a table of a million ids.
fn mark_repeated(sheets: &mut [Sheet<'_>], files: &[JournalFile<'_>]) -> (Vec<LineProblem>, u64) {
    let places = sheets.iter().enumerate().flat_map(|(sheet, of)| {
        of.movements.iter().enumerate().map(move |(index, kept)| (kept.hash, sheet, index))
    });
    let mut places: Vec<(u64, usize, usize)> = places.collect();
    places.sort_unstable();
    let (mut conflicts, mut repeats) = (Vec::new(), Vec::new());
    for same in places.chunk_by(|a, b| a.0 == b.0) {
        for (position, (_, sheet, index)) in same.iter().enumerate().skip(1) {
            let kept = &sheets[*sheet].movements[*index];
            let before =
                same[..position].iter().map(|(_, sheet, index)| (*sheet, &sheets[*sheet].movements[*index]));
            let known = before.into_iter().find(|(_, before)| before.movement.id == kept.movement.id);
            match known {
                Some((_, before)) if before.movement == kept.movement => repeats.push((*sheet, *index)),
                Some((of, before)) => {
                    let what = format!("the id {}", kept.movement.id);
                    let place = (files[of].key, before.line);
                    conflicts.push(conflict(what, place, (files[*sheet].key, kept.line)));
                }
                None => {}
            }
        }
    }
    for (sheet, index) in &repeats {
        sheets[*sheet].movements[*index].repeats = true;
    }
    (conflicts, u64::try_from(repeats.len()).unwrap_or(u64::MAX))
}

/// The usage of all files, each document once, and how many say the same as another.
fn unique_usage<'a>(
    sheets: &mut [Sheet<'a>],
    files: &[JournalFile<'_>],
    conflicts: &mut Vec<LineProblem>,
) -> (Vec<Usage<'a>>, u64) {
    let mut known: HashMap<Use<'a>, (usize, (&str, usize))> = HashMap::new();
    let (mut unique, mut repeated): (Vec<Usage<'a>>, u64) = (Vec::new(), 0);
    for (sheet, file) in sheets.iter_mut().zip(files) {
        for (line, usage) in sheet.usage.drain(..) {
            match known.entry(usage.identity()) {
                Entry::Vacant(free) => {
                    free.insert((unique.len(), (file.key, line)));
                    unique.push(usage);
                }
                Entry::Occupied(before) if unique[before.get().0].says_the_same(&usage) => repeated += 1,
                Entry::Occupied(before) => {
                    let what = "the usage of this service and month".to_owned();
                    conflicts.push(conflict(what, before.get().1, (file.key, line)));
                }
            }
        }
    }
    unique.sort_by_cached_key(Usage::identity);
    (unique, repeated)
}

fn conflict(what: String, known: (&str, usize), place: (&str, usize)) -> LineProblem {
    let problem = Problem::Conflict { what, file: known.0.to_owned(), line: known.1 };
    LineProblem { file: place.0.to_owned(), line: place.1, problem }
}

/// What tells documents of usage apart.
type Use<'a> = (usize, BillingMonth, &'static str, Cow<'a, str>);

impl<'a> Usage<'a> {
    fn identity(&self) -> Use<'a> {
        (self.service, self.month, self.plugin.name(), self.id.clone())
    }

    /// Whether the details are the same, however they are written.
    fn says_the_same(&self, other: &Self) -> bool {
        let value = |usage: &Self| serde_json::from_str::<serde_json::Value>(usage.details.get()).ok();
        value(self) == value(other)
    }
}
