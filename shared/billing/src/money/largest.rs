//! Who gets the units that are left over when shares were cut: the largest remainders.

use std::cmp::Ordering;

/// The places of the `count` largest remainders, of equal ones those whose `key` comes first. `remainder` says them again, one by one: what is
/// given is put in another order.
///
/// O(n) time on average.
pub(super) fn largest<R: Ord + Copy>(
    mut given: Vec<R>,
    count: usize,
    remainder: impl Fn(usize) -> R,
    key: impl Fn(usize, usize) -> Ordering,
) -> Vec<usize> {
    let Some(last) = count.checked_sub(1).filter(|last| *last < given.len()) else { return Vec::new() };
    let all = given.len();
    let (above, bound, _) = given.select_nth_unstable_by(last, |a, b| b.cmp(a));
    let bound = *bound;
    let of_equals = count - above.iter().filter(|remainder| **remainder > bound).count();
    drop(given);
    let (mut places, mut equals) = (Vec::with_capacity(count), Vec::new());
    for place in 0..all {
        match remainder(place).cmp(&bound) {
            Ordering::Greater => places.push(place),
            Ordering::Equal => equals.push(place),
            Ordering::Less => {}
        }
    }
    if of_equals < equals.len() {
        equals.select_nth_unstable_by(of_equals, |a, b| key(*a, *b));
        equals.truncate(of_equals);
    }
    places.append(&mut equals);
    places
}
