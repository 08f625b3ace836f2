use proptest::prelude::*;

use super::*;

/// What comes of one line, `A=` and this.
fn value_of(written: &str) -> Result<String, String> {
    let pairs = parse(format!("A={written}").as_bytes()).map_err(|error| error.to_string())?;
    let [(name, value)] = pairs.as_slice() else { panic!("{pairs:?}") };
    assert_eq!(name, "A");
    Ok(value.clone())
}

#[test]
fn a_value_is_what_is_written() {
    for same in [
        "",
        "simple",
        "pa$word",
        "$HOME and ${HOME}",
        "pa#word",
        "#begins",
        "correct horse battery staple",
        r"back\slash\n",
        "a=b==",
        "it's",
        "say\"so\"",
        "a`b!c*d?e[f]{g}(h)|i&j;k<l>m~n%o^p",
        "pässwörd-\u{1f511}-\u{a0}",
        "tab\tin it",
        r#"{"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nMII$#=\n"}"#,
        "https://example.com/?a=b&c=d#e",
    ] {
        assert_eq!(value_of(same), Ok(same.to_owned()));
        let before = if same.starts_with('#') { "" } else { "  " };
        let spaced = format!("{before}{same}\t \r\n");
        assert_eq!(value_of(&spaced), Ok(same.to_owned()), "without the spaces around it");
    }
    for (written, value) in [
        (r#"'a # $b \n " '"#, r#"a # $b \n " "#),
        (r#"" a # $b ' \\ \" ""#, r#" a # $b ' \ " "#),
        (r#""a\nb\r\tc""#, "a\nb\r\tc"),
        ("'-----BEGIN-----\nAAAA==\n-----END-----\n'", "-----BEGIN-----\nAAAA==\n-----END-----\n"),
        ("\"a\r\nb\"\r\n", "a\r\nb"),
        ("'{\n  \"a\": \"b\\n\"\n}'", "{\n  \"a\": \"b\\n\"\n}"),
        ("''", ""),
        ("  'x'  # a comment", "x"),
        ("\"x\" ", "x"),
    ] {
        assert_eq!(value_of(written), Ok(value.to_owned()), "{written}");
    }
}

#[test]
fn what_could_be_meant_in_two_ways_is_refused() {
    for (written, part) in [
        ("x # y", "line 1: A: a # after a space may be part"),
        (" #x", "line 1: A: a # after a space"),
        ("x\t#y", "line 1: A: a # after a space"),
        ("x\ry", "line 1: A: a character that cannot be seen"),
        ("x\u{0}", "a character that cannot be seen"),
        ("'x", "line 1: A: the quote at the beginning of the value is never closed (')"),
        ("\"x\\\"", "is never closed (\")"),
        ("'x'y", "line 1: A: more follows after the closing quote (')"),
        ("'x'#y", "more follows"),
        (r#""{"a": "b"}""#, "more follows after the closing quote (\")"),
        (r#""pa\$word""#, "line 1: A: within double quotes a backslash begins"),
        ("\"x\\", "within double quotes a backslash begins"),
    ] {
        let error = value_of(written).unwrap_err();
        assert!(error.contains(part), "{written}: {error}");
    }
}

#[test]
fn lines_are_assignments_comments_or_empty() {
    let file = "\u{feff}# first\r\nA=1\r\n\r\n  # indented = comment\nexport B = 2\n\texport\tC=3\nexport=4\n_d9='\n\n'\nE=5";
    let pairs = parse(file.as_bytes()).unwrap();
    let expected = [("A", "1"), ("B", "2"), ("C", "3"), ("export", "4"), ("_d9", "\n\n"), ("E", "5")];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(parse(b""), Ok(Vec::new()));
}

#[test]
fn errors_name_line_and_variable_and_nothing_else() {
    for (file, said) in [
        ("A=1\nPRIVATE_KEY \"PLANTED\"", "line 2: expected NAME=value"),
        ("A=1\n\nPLANTED\n", "line 3: expected NAME=value"),
        ("A='\n\n'\nA='PLANTED'\n", "line 4: A: it is set in line 1 already"),
        ("KEY={\n  \"a\": \"PLANTED\"\n}\n", "line 2: expected NAME=value"),
        ("9A=PLANTED", "line 1: expected NAME=value"),
        ("=PLANTED", "line 1: expected NAME=value"),
        ("export PLANTED", "line 1: expected NAME=value"),
        ("A-B=PLANTED", "line 1: expected NAME=value"),
        // the last line of a key that lost its quotes
        ("PLANTEDxyz= #", "line 1: a # after a space"),
        ("B=\nA=PLANTED # PLANTED", "line 2: A: a # after"),
        ("B='\n'\nA='PLANTED", "line 3: A: the quote"),
    ] {
        let error = parse(file.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(said) && !error.contains("PLANTED"), "{file}: {error}");
    }
    let error = parse(b"A=1\nB=PLANTED\xff\n").unwrap_err().to_string();
    assert_eq!(error, "line 2: this is no UTF-8: save the file as UTF-8");
}

proptest! {
    /// Any text arrives unchanged in double quotes, and if it has no `'` of its own in single ones.
    #[test]
    fn a_quoted_text_arrives_unchanged(text in any::<String>(), plain in "[^']*", crlf in any::<bool>()) {
        let end = if crlf { "\r\n" } else { "\n" };
        let double = text.replace('\\', "\\\\").replace('"', "\\\"");
        let file = format!("A=\"{double}\"{end}export B='{plain}' # comment{end}C=c{end}");
        let expected = [("A", text.as_str()), ("B", plain.as_str()), ("C", "c")];
        prop_assert_eq!(
            parse(file.as_bytes()),
            Ok(expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
        );
    }

    /// Without quotes, a text arrives as it is or is refused.
    #[test]
    fn an_unquoted_text_arrives_whole_or_not_at_all(text in "[^\n'\" \t\r][^\n]*[^\n \t\r]") {
        if let Ok(value) = value_of(&text) {
            prop_assert_eq!(value, text);
        }
    }

    #[test]
    fn anything_is_read_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = parse(&bytes);
    }
}
