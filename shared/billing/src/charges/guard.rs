//! A library that gives up on damaged bytes with a panic: it becomes an error, and nothing is printed.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// The result of `read`, or what it says when it panics.
pub(super) fn guarded<T>(read: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                others(panic);
            }
        }));
    });
    let before = GUARDED.replace(true);
    // whoever reads ends with an error: what it left half-way is not looked at
    let read = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    read.map_err(|panic| said(&*panic))
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref().copied());
    text.unwrap_or("no reason is given").chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_reading_goes_on() {
        let broken = |text: &'static str| guarded(|| if text.is_empty() { 1 } else { panic!("{text}") });
        assert_eq!(broken("out of range"), Err("out of range".to_owned()));
        assert_eq!(broken(""), Ok(1));
        assert!(!GUARDED.get());
    }
}
