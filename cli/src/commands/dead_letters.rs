//! `monthend dead-letters`

use crate::args;
use crate::output::{Listing, Output};
use crate::session::Session;
use crate::{Ended, WrongArgument};

pub(crate) fn dead_letters(
    letters: &args::DeadLetters,
    session: &Session,
    output: &Output,
) -> anyhow::Result<Ended> {
    let Some(embedded) = &session.embedded else {
        anyhow::bail!(
            "on AWS, events that were given up stand in the queue that the stack's output FailedEvents names"
        )
    };
    for number in &letters.remove {
        if !embedded.queue.remove_dead_letter(*number)? {
            return Err(WrongArgument(format!("there is no dead letter {number}")).into());
        }
        output.note(&format!("removed dead letter {number}"));
    }
    let mut listing = Listing::new(&["number", "function", "outcome", "given up at", "error", "event"]);
    for (number, letter) in embedded.queue.dead_letters()? {
        listing.row(vec![
            number.to_string(),
            letter.function,
            letter.outcome.to_string(),
            letter.given_up_at,
            letter.error,
            letter.event.to_string(),
        ]);
    }
    output.listing(&listing)?;
    Ok(Ended::Done)
}
