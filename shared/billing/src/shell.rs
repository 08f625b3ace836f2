//! Commands that a message prints so that somebody copies them.

/// A command of this program as a shell takes it.
pub fn command<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> String {
    words.into_iter().fold("monthend".to_owned(), |line, word| line + " " + &quoted(word.as_ref()))
}

/// A word as a shell takes it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_copied_into_a_shell() {
        assert_eq!(quoted("data/part_0_0001.csv"), "data/part_0_0001.csv");
        assert_eq!(quoted("October (1).csv"), "'October (1).csv'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(command(["bill", "--mail", "Team Blue=sent"]), "monthend bill --mail 'Team Blue=sent'");
    }
}
