//! Delivers notifications to functions as Lambda does: at least once, three attempts, then a dead letter.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tokio_util::task::TaskTracker;

use crate::functions::Functions;
use crate::queue::{Message, Queue};
use crate::store::{DISK_IS_FULL, StoreError};

/// Attempts of an asynchronous invocation on Lambda: the first and two more.
const ATTEMPTS: u32 = 3;
/// Before a delivery is begun again whose outcome could not be noted.
const UNNOTED: Duration = Duration::from_secs(2);

/// Delivers what is due until it is dropped with its task.
pub(crate) struct Dispatcher {
    queue: Queue,
    functions: Arc<Functions>,
    /// Before the second attempt; doubled before the third. A minute on Lambda, less where somebody waits.
    retry_delay: Duration,
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
        Self { queue, functions, retry_delay, permits }
    }

    /// Runs for as long as its task does.
    pub(crate) async fn run(self) {
        let (tasks, mut last) = (TaskTracker::new(), 0);
        loop {
            match self.queue.messages(last) {
                Ok(due) => due.into_iter().for_each(|(id, message)| {
                    last = id;
                    tasks.spawn(self.deliver(id, message));
                }),
                Err(error) => tracing::error!("the queue of notifications cannot be read: {error}"),
            }
            self.queue.woken().await;
        }
    }

    fn deliver(&self, id: i64, message: Message) -> impl Future<Output = ()> + Send + 'static {
        let (queue, functions, delay) = (self.queue.clone(), self.functions.clone(), self.retry_delay);
        let permits = self.permits.clone();
        async move {
            // what is not noted (the disk is full) is tried again: nobody else does, and somebody waits for it
            while let Err(error) = deliver(&queue, &functions, delay, &permits, id, &message).await {
                tracing::error!("the notification {id} stays queued: {error}");
                queue.set_trouble(Some(error));
                tokio::time::sleep(UNNOTED).await;
            }
            queue.set_trouble(None);
        }
    }
}

async fn deliver(
    queue: &Queue,
    functions: &Functions,
    delay: Duration,
    permits: &tokio::sync::Semaphore,
    id: i64,
    message: &Message,
) -> Result<(), String> {
    let text = |error: StoreError| error.to_string();
    let mut message = message.clone();
    loop {
        let invocation = format!("{id:06}-{}", message.attempts + 1);
        let permit = permits.acquire().await;
        let answer = functions.invoke(&message.function, &message.event, &invocation, Utc::now()).await;
        drop(permit);
        let failure = match answer {
            Ok(answer) => return queue.done(id, &message, &answer).await.map_err(text),
            Err(failure) => failure,
        };
        if failure.message.contains(DISK_IS_FULL) {
            return Err(failure.message); // no fault of the document: it waits until there is room
        }
        message.attempts += 1;
        if message.attempts >= ATTEMPTS {
            return queue.give_up(id, message, failure.outcome, &failure.message).await.map_err(text);
        }
        queue.note_attempt(id).await.map_err(text)?;
        tokio::time::sleep(delay * message.attempts).await;
    }
}
