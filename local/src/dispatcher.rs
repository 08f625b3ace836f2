//! Delivers notifications to functions as Lambda does: at least once, three attempts, then a dead letter.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio_util::task::TaskTracker;

use crate::functions::Functions;
use crate::queue::Queue;

/// Attempts of an asynchronous invocation on Lambda: the first and two more.
const ATTEMPTS: u32 = 3;

/// Delivers what is due until it is dropped with its task.
pub(crate) struct Dispatcher {
    queue: Queue,
    functions: Arc<Functions>,
    /// Before the second attempt; doubled before the third. A minute on Lambda, less where somebody waits.
    retry_delay: Duration,
    under_way: Arc<Mutex<HashSet<PathBuf>>>,
    permits: Arc<tokio::sync::Semaphore>,
}

impl Dispatcher {
    pub(crate) fn new(
        queue: Queue,
        functions: Arc<Functions>,
        retry_delay: Duration,
        concurrency: usize,
    ) -> Self {
        let permits = Arc::new(tokio::sync::Semaphore::new(concurrency.max(1)));
        Self { queue, functions, retry_delay, under_way: Arc::default(), permits }
    }

    /// Runs for as long as its task does.
    pub(crate) async fn run(self) {
        let tasks = TaskTracker::new();
        loop {
            match self.queue.due_files() {
                Ok(due) => due.into_iter().filter(|path| self.take(path)).for_each(|path| {
                    tasks.spawn(self.deliver(path));
                }),
                Err(error) => tracing::error!("the queue of notifications cannot be read: {error}"),
            }
            self.queue.woken().await;
        }
    }

    fn take(&self, path: &Path) -> bool {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned())
    }

    fn deliver(&self, path: PathBuf) -> impl Future<Output = ()> + Send + 'static {
        let (queue, functions, delay) = (self.queue.clone(), self.functions.clone(), self.retry_delay);
        let (under_way, permits) = (self.under_way.clone(), self.permits.clone());
        async move {
            if let Err(error) = deliver(&queue, &functions, delay, &permits, &path).await {
                tracing::error!("the notification {} stays queued: {error}", path.display());
                return; // it stays among those under way: the next start of the cloud takes it up
            }
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
        }
    }
}

async fn deliver(
    queue: &Queue,
    functions: &Functions,
    delay: Duration,
    permits: &tokio::sync::Semaphore,
    path: &Path,
) -> std::io::Result<()> {
    let mut message = Queue::read(path)?;
    loop {
        let id =
            format!("{}-{}", path.file_stem().unwrap_or_default().to_string_lossy(), message.attempts + 1);
        let permit = permits.acquire().await;
        let answer = functions.invoke(&message.function, &message.event, &id, Utc::now()).await;
        drop(permit);
        let failure = match answer {
            Ok(answer) => {
                queue.settle(&message.function, &message.event, &answer)?;
                return Queue::done(path);
            }
            Err(failure) => failure,
        };
        message.attempts += 1;
        if message.attempts >= ATTEMPTS {
            return queue.give_up(path, message, &failure.outcome.to_string(), &failure.message);
        }
        Queue::note_attempt(path, &message)?;
        tokio::time::sleep(delay * message.attempts).await;
    }
}
