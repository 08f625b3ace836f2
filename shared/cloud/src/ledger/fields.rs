//! A record's attributes as a struct, by serde. Every attribute is a text: a number is its digits, `true` and `false` are words, what is `None` is
//! left out, and what has parts says itself how it is written ([`json`], [`spaced`]).

use std::collections::BTreeMap;

use serde::de::value::{BorrowedStrDeserializer, Error, MapDeserializer};
use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::Value;

use super::{LedgerError, Record};

impl Record {
    /// The record of these attributes.
    pub(super) fn of(
        pk: String,
        sk: impl Into<String>,
        fields: &impl Serialize,
    ) -> Result<Self, LedgerError> {
        let mut record = Self { pk, sk: sk.into(), fields: BTreeMap::new() };
        let fields = serde_json::to_value(fields).map_err(|error| record.unusable("attributes", &error))?;
        for (name, value) in fields.as_object().into_iter().flatten() {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            record.fields.insert(name.clone(), text);
        }
        Ok(record)
    }

    /// The same with what its sort key names, after a prefix, as one more attribute.
    pub(super) fn naming(mut self, field: &str, prefix: &str) -> Self {
        let named = self.sk.strip_prefix(prefix).unwrap_or(&self.sk).to_owned();
        self.fields.insert(field.to_owned(), named);
        self
    }

    /// Its attributes; those that are not asked for are left alone.
    pub(super) fn read<'r, T: Deserialize<'r>>(&'r self) -> Result<T, LedgerError> {
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), Text(value)));
        serde_path_to_error::deserialize(MapDeserializer::new(fields)).map_err(|error| {
            // one that is missing is named by the reason
            let field =
                error.path().iter().next().map_or_else(|| "attributes".to_owned(), ToString::to_string);
            self.unusable(&field, error.inner())
        })
    }
}

/// The text of one attribute.
struct Text<'r>(&'r str);

impl<'de> IntoDeserializer<'de> for Text<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// What a text is parsed as.
macro_rules! parsed {
    ($($method:ident => $visit:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let parsed = self.0.parse().map_err(|error| Error::custom(format!("'{}': {error}", self.0)))?;
            visitor.$visit(parsed)
        })*
    };
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = Error;

    parsed! {
        deserialize_bool => visit_bool
        deserialize_u32 => visit_u32
        deserialize_u64 => visit_u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        BorrowedStrDeserializer::new(self.0).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

/// A moment, to the millisecond.
pub(super) mod millis {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(in crate::ledger) fn text(time: &DateTime<Utc>) -> String {
        time.to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    pub(in crate::ledger) fn serialize<S: Serializer>(
        time: &DateTime<Utc>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&text(time))
    }

    pub(in crate::ledger) fn deserialize<'r, D: Deserializer<'r>>(
        deserializer: D,
    ) -> Result<DateTime<Utc>, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What is written as it is shown, one or several between spaces.
pub(super) mod spaced {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize as _, Deserializer, Serializer, de};

    pub(in crate::ledger) fn serialize<'v, V, T, S>(values: &'v V, serializer: S) -> Result<S::Ok, S::Error>
    where
        &'v V: IntoIterator<Item = &'v T>,
        T: Display + 'v,
        S: Serializer,
    {
        let texts: Vec<String> = values.into_iter().map(T::to_string).collect();
        serializer.serialize_str(&texts.join(" "))
    }

    pub(in crate::ledger) fn deserialize<'r, V, T, D>(deserializer: D) -> Result<V, D::Error>
    where
        V: FromIterator<T> + IntoIterator<Item = T>,
        T: FromStr<Err: Display>,
        D: Deserializer<'r>,
    {
        let text = String::deserialize(deserializer)?;
        text.split_whitespace().map(str::parse).collect::<Result<_, _>>().map_err(de::Error::custom)
    }

    pub(in crate::ledger) mod one {
        use serde::Deserialize as _;

        use super::{Deserializer, Display, FromStr, Serializer, de};

        pub(in crate::ledger) fn serialize<T: Display, S: Serializer>(
            value: &T,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            serializer.collect_str(value)
        }

        pub(in crate::ledger) fn deserialize<'r, T, D>(deserializer: D) -> Result<T, D::Error>
        where
            T: FromStr<Err: Display>,
            D: Deserializer<'r>,
        {
            String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
        }
    }
}

/// What is so or not, in words.
pub(super) mod yes_or_no {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives references")]
    pub(in crate::ledger) fn serialize<S: Serializer>(is: &bool, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if *is { "yes" } else { "no" })
    }

    pub(in crate::ledger) fn deserialize<'r, D: Deserializer<'r>>(deserializer: D) -> Result<bool, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            other => Err(de::Error::custom(format!("'{other}' is neither yes nor no"))),
        }
    }
}

/// What has parts, as JSON.
pub(super) mod json {
    use serde::de::{self, DeserializeOwned};
    use serde::{Deserialize as _, Deserializer, Serialize, Serializer, ser};

    pub(in crate::ledger) fn serialize<T: Serialize, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&serde_json::to_string(value).map_err(ser::Error::custom)?)
    }

    pub(in crate::ledger) fn deserialize<'r, T: DeserializeOwned, D: Deserializer<'r>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        serde_json::from_str(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
