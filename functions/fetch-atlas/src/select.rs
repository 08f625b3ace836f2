//! Which of the invoices listed are fetched.

use billing::month::BillingMonth;

use crate::atlas::Entry;

/// Those of one month, and those listed without one: only their document can tell.
pub(crate) fn of_month(listed: Vec<Entry>, month: BillingMonth) -> Vec<Entry> {
    listed.into_iter().filter(|entry| entry.month().is_none_or(|found| found == month)).collect()
}

/// The newest `limit` ended invoices by period, newest first, and every open one after them. A month is never
/// cut in two: further invoices of the last month taken come along.
pub(crate) fn newest(listed: Vec<Entry>, limit: usize) -> Vec<Entry> {
    let (open, mut ended): (Vec<Entry>, Vec<Entry>) = listed.into_iter().partition(Entry::is_open);
    // one listed without a month comes first: only its document can tell where it belongs
    let age = |entry: &Entry| (entry.month().is_none(), entry.start_date.clone(), entry.id.clone());
    ended.sort_by_cached_key(|entry| std::cmp::Reverse(age(entry)));
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
    fn an_invoice_listed_without_a_month_is_never_left_out() {
        let unknown = Entry { start_date: None, ..entry("u", "2026-09", "PAID") };
        let listed = vec![entry("a", "2026-09", "PAID"), unknown, entry("b", "2026-10", "PAID")];
        assert_eq!(ids(&of_month(listed.clone(), "2026-10".parse().unwrap())), ["u", "b"]);
        assert_eq!(ids(&newest(listed, 2)), ["u", "b"]);
    }

    #[test]
    fn a_month_is_never_cut_in_two() {
        let listed =
            vec![entry("a", "2026-09", "PAID"), entry("b", "2026-10", "PAID"), entry("c", "2026-10", "PAID")];
        assert_eq!(ids(&newest(listed, 1)), ["c", "b"]);
    }
}
