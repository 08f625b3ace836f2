//! Which invoices a scheduled run fetches.

use crate::atlas::Entry;

/// The newest `limit` ended invoices by period, newest first, and every open one after them. A month is never
/// cut in two: further invoices of the last month taken come along.
pub(crate) fn newest(listed: Vec<Entry>, limit: usize) -> Vec<Entry> {
    let (open, mut ended): (Vec<Entry>, Vec<Entry>) = listed.into_iter().partition(Entry::is_open);
    ended.sort_by(|a, b| (&b.start_date, &b.id).cmp(&(&a.start_date, &a.id)));
    let last = limit.checked_sub(1).and_then(|index| ended.get(index)).map(Entry::month);
    let same_month = ended.iter().skip(limit).take_while(|entry| Some(entry.month()) == last).count();
    ended.truncate(limit + same_month);
    ended.extend(open);
    ended
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, month: &str, status: &str) -> Entry {
        Entry {
            start_date: Some(format!("{month}-01T00:00:00Z")),
            status_name: Some(status.into()),
            ..Entry::by_id("o", id)
        }
    }

    fn ids(entries: &[Entry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.id.as_str()).collect()
    }

    #[test]
    fn the_newest_three_ended_and_the_open_one() {
        let listed = vec![
            entry("p", "2026-11", "PENDING"),
            entry("a", "2026-07", "PAID"),
            entry("d", "2026-10", "CLOSED"),
            entry("c", "2026-09", "PAID"),
            entry("b", "2026-08", "SOMETHING_NEW"),
        ];
        assert_eq!(ids(&newest(listed.clone(), 3)), ["d", "c", "b", "p"]);
        assert_eq!(ids(&newest(listed.clone(), 0)), ["p"]);
        assert_eq!(ids(&newest(listed, 9)), ["d", "c", "b", "a", "p"]);
    }

    #[test]
    fn a_month_is_never_cut_in_two() {
        let listed =
            vec![entry("a", "2026-09", "PAID"), entry("b", "2026-10", "PAID"), entry("c", "2026-10", "PAID")];
        assert_eq!(ids(&newest(listed, 1)), ["c", "b"]);
    }
}
