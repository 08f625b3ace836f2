//! What `serde` lets pass and money must not, and the laws of reading strictly.

use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::*;

fn refusal(json: &str) -> String {
    from_str::<Value>(json).unwrap_err().to_string()
}

#[test]
fn a_member_that_stands_twice_is_named_with_its_place() {
    for (json, message) in [
        (r#"{"month":"2026-09","month":"2026-10"}"#, "'month' stands twice at line 1 column 20"),
        ("{\"a\": 1,\n \"a\": 1}", "'a' stands twice at line 2 column 2"),
        (
            r#"{"orgId":"o","lineItems":[{"cents":1},{"sku":"x","cents":1,"cents":2}]}"#,
            "'cents' stands twice in lineItems[1] at line 1 column 60",
        ),
        (r#"[[0,{"a":{},"b":{"c":[],"c":0}}]]"#, "'c' stands twice in [0][1].b at line 1 column 25"),
        (r#"{"a":{"x":0},"b":{"x":0},"a":0}"#, "'a' stands twice at line 1 column 26"),
        (r#"{"ab":1,"\u0061b":2}"#, "'ab' stands twice at line 1 column 9"),
        (r#"{"\"\\\n":1,"\"\\\n":2}"#, r#"'"\\u{a}' stands twice at line 1 column 13"#),
        (r#"{"":1,"":2}"#, "'' stands twice at line 1 column 7"),
    ] {
        assert_eq!(refusal(json), message, "{json}");
    }
}

#[test]
fn the_same_name_in_other_objects_and_as_a_value_is_no_repetition() {
    for json in [
        r#"{"a":{"a":{"a":"a"}},"b":["a","a",{"a":1},{"a":1}],"c":"a"}"#,
        r#"{"a":"}{\",\"a\":","b":"\\","c":"\\\"a"}"#,
        r#"{"a":1,"A":2,"a ":3,"\u0000a":4}"#,
        r#"["a","a",["a"]]"#,
        "0",
        r#""a""#,
    ] {
        assert_eq!(from_str::<Value>(json).unwrap(), serde_json::from_str::<Value>(json).unwrap(), "{json}");
    }
}

/// The reason for this module: of these, `serde` refuses only the first.
#[test]
fn what_serde_refuses_itself_and_what_it_lets_pass() {
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Known<'a> {
        cents: Option<i64>,
        #[serde(borrow)]
        raw: Option<&'a RawValue>,
        names: Option<BTreeMap<String, i64>>,
        #[serde(flatten)]
        others: BTreeMap<String, Value>,
    }
    for (json, is_refused) in [
        (r#"{"cents":1,"cents":2}"#, true),
        (r#"{"names":{"a":1,"a":2}}"#, false),
        (r#"{"raw":{"cents":1,"cents":2}}"#, false),
        (r#"{"other":1,"other":2}"#, false),
        (r#"{"other":{"cents":1,"cents":2}}"#, false),
    ] {
        let refused = serde_json::from_str::<Known<'_>>(json).is_err();
        assert_eq!(refused, is_refused, "{json}");
        assert!(from_str::<Known<'_>>(json).is_err(), "{json}");
        assert!(from_slice::<Known<'_>>(json.as_bytes()).is_err(), "{json}");
    }
}

#[test]
fn spared_parts_may_repeat_and_nothing_beside_them() {
    let read = |json: &str| from_str_sparing::<Value>(json, &["tags"]).map_err(|error| error.to_string());
    assert!(read(r#"{"lines":[{"tags":{"a":1,"a":2,"b":{"c":1,"c":2}},"cents":1}]}"#).is_ok());
    assert!(read(r#"{"tags":[{"a":1,"a":2}],"a":1}"#).is_ok());
    for json in [
        r#"{"tags":{"a":1,"a":2},"cents":1,"cents":2}"#,
        r#"{"tags":{},"tags":{}}"#,
        r#"{"tags":0,"b":{"a":1,"a":2}}"#,
        r#"["tags",{"a":1,"a":2}]"#,
    ] {
        assert!(read(json).unwrap_err().contains("stands twice"), "{json}");
    }
}

#[test]
fn many_names_are_looked_through_as_few_are() {
    for count in [1, 31, 32, 33, 34, 64, 65, 1_000] {
        let members: Vec<String> = (0..count).map(|n| format!("\"m{n}\":{{\"m0\":{n}}}")).collect();
        let json = members.join(",");
        assert!(from_str::<Value>(&format!("{{{json}}}")).is_ok(), "{count}");
        for n in [0, count / 2, count - 1] {
            let message = refusal(&format!("{{{json},\"m{n}\":0}}"));
            assert!(message.starts_with(&format!("'m{n}' stands twice at line 1")), "{count}: {message}");
        }
    }
}

#[test]
fn as_deep_as_serde_reads_and_no_deeper() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(from_str::<Value>(&nested(127)).is_ok() && serde_json::from_str::<Value>(&nested(127)).is_ok());
    assert!(serde_json::from_str::<Value>(&nested(128)).is_err());
    assert_eq!(refusal(&nested(128)), "more than 127 levels in each other at line 1 column 128");
    assert!(from_str::<serde::de::IgnoredAny>(&nested(100_000)).is_err());
}

#[test]
fn texts_borrow_and_lists_are_no_objects() {
    #[derive(Deserialize)]
    struct Line<'a> {
        #[serde(borrow)]
        sku: Cow<'a, str>,
    }
    let Object(line): Object<Line<'_>> = from_str(r#"{"sku": "X"}"#).unwrap();
    assert!(matches!(line.sku, Cow::Borrowed("X")));
    let error = from_str::<Object<Line<'_>>>(r#"["X"]"#).err().unwrap().to_string();
    assert!(error.contains("invalid type: sequence, expected a JSON object"), "{error}");
}

/// Names from few letters, so that objects have the same ones.
fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-c\"\\\\{}\\[\\],:é\n]{0,4}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let names = prop_oneof!["[ab\"\\\\{,é]{0,2}", any::<String>()];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((names, inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Writes a value with one member twice.
struct Repeating {
    json: String,
    /// Members written so far.
    members: usize,
    /// Which of them stands twice.
    repeated: usize,
    /// How the name of the second is written.
    spelling: fn(&str) -> String,
}

impl Repeating {
    fn write(&mut self, value: &Value) {
        match value {
            Value::Array(items) => self.list(items),
            Value::Object(members) => self.object(members),
            scalar => self.json.push_str(&scalar.to_string()),
        }
    }

    fn list(&mut self, items: &[Value]) {
        self.json.push('[');
        for (index, item) in items.iter().enumerate() {
            self.json.push_str(if index == 0 { "" } else { " , " });
            self.write(item);
        }
        self.json.push(']');
    }

    fn object(&mut self, members: &Map<String, Value>) {
        self.json.push('{');
        let mut copy = String::new();
        for (index, (name, value)) in members.iter().enumerate() {
            self.json.push_str(if index == 0 { "" } else { ", " });
            self.json.push_str(&format!("{} : ", spelt(name)));
            if self.members == self.repeated {
                copy = format!(",{}:{value}", (self.spelling)(name));
            }
            self.members += 1;
            self.write(value);
        }
        self.json.push_str(&copy);
        self.json.push('}');
    }
}

fn spelt(name: &str) -> String {
    Value::from(name).to_string()
}

fn escaped(name: &str) -> String {
    let units: String = name.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    format!("\"{units}\"")
}

fn repeating(value: &Value, repeated: usize, spelling: fn(&str) -> String) -> String {
    let mut writer = Repeating { json: String::new(), members: 0, repeated, spelling };
    writer.write(value);
    writer.json
}

/// The document once for each member of it, at whatever depth, with a copy of that member at the end of its object.
pub(super) fn each_member_twice(document: &Value) -> Vec<String> {
    (0..members(document)).map(|member| repeating(document, member, spelt)).collect()
}

fn members(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(members).sum(),
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        _ => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_stands_once_is_read_as_ever(value in values()) {
        for json in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            prop_assert_eq!(&from_str::<Value>(&json).unwrap(), &value);
            prop_assert_eq!(&from_slice::<Value>(json.as_bytes()).unwrap(), &value);
        }
    }

    #[test]
    fn any_member_twice_is_refused_at_any_depth(value in values(), which in any::<prop::sample::Index>()) {
        let count = members(&value);
        prop_assume!(count > 0);
        for spelling in [spelt, escaped] {
            let json = repeating(&value, which.index(count), spelling);
            // it is JSON, of which the last would count
            prop_assert!(serde_json::from_str::<Value>(&json).is_ok());
            let message = from_str::<Value>(&json).unwrap_err().to_string();
            prop_assert!(message.contains("' stands twice"), "{json}: {message}");
        }
    }

    #[test]
    fn any_bytes_are_read_as_ever_or_refused(bytes in prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[\\[\\]{}\",:\\\\au0 \n]{0,60}".prop_map(String::into_bytes),
    ]) {
        match (from_slice::<Value>(&bytes), serde_json::from_slice::<Value>(&bytes)) {
            (Ok(strict), plain) => prop_assert_eq!(strict, plain.unwrap()),
            (Err(error), Ok(_)) => prop_assert!(error.to_string().contains("' stands twice")),
            (Err(_), Err(_)) => {}
        }
    }
}
