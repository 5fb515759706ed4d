//! Values and rows, as both databases understand them: 64-bit integers and text. Everything with more structure is JSON text.
//!
//! **Format number.** A JSON object is stored with `"format": N` as its first key ([`FORMAT`]). Raise the number when an older
//! version would misread what is written from now on. Objects without the number were written before the number existed and
//! are read as format 1. A value with a higher number, or one that does not parse, is [`StoreError::Row`]: the caller sets
//! that value aside (`set_aside`) and goes on with the other rows.

use std::error::Error;

use olog_proto::Timestamp;
use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::types::{IsNull, Type, private::BytesMut};

use super::StoreError;

/// The format of JSON objects that this version writes, and the highest that it reads.
pub(super) const FORMAT: u32 = 1;
/// How an object of that format begins.
const HEAD: &str = "{\"format\":1,";

/// A parameter or a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// SQL's NULL.
    Null,
    /// A whole number, an instant in ms, or 0 and 1.
    Int(i64),
    /// Text, often JSON.
    Text(String),
}

impl Value {
    /// As JSON text, an object with the format number.
    pub fn json<T: Serialize>(value: &T) -> Result<Value, StoreError> {
        write_json(value).map(Value::Text)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Value {
        Value::Int(n)
    }
}
impl From<u64> for Value {
    /// Bit for bit: a digest may use all 64.
    fn from(n: u64) -> Value {
        Value::Int(n.cast_signed())
    }
}
impl From<u32> for Value {
    fn from(n: u32) -> Value {
        Value::Int(i64::from(n))
    }
}
impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Int(i64::from(b))
    }
}
impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Value {
        Value::Int(at.0)
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// Parameters in order: `values![id, name, now]`.
#[macro_export]
macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$($crate::store::Value::from($value)),*] };
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(n) => ValueRef::Integer(*n),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl tokio_postgres::types::ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            // PostgreSQL takes a parameter beside a small literal (`$2 = 1`) for 32 bits.
            Value::Int(n) if *ty == Type::INT4 => i32::try_from(*n)?.to_sql(ty, out),
            Value::Int(n) => n.to_sql(ty, out),
            Value::Text(text) => text.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::INT4, Type::TEXT].contains(ty)
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A row of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub(super) Vec<Value>);

impl Row {
    fn get(&self, i: usize) -> Result<&Value, StoreError> {
        self.0.get(i).ok_or_else(|| StoreError::Row(format!("no column {i}")))
    }

    /// A number, or none.
    pub fn int_or_null(&self, i: usize) -> Result<Option<i64>, StoreError> {
        match self.get(i)? {
            Value::Int(n) => Ok(Some(*n)),
            Value::Null => Ok(None),
            Value::Text(_) => Err(StoreError::Row(format!("column {i} is not a number"))),
        }
    }

    /// A number.
    pub fn int(&self, i: usize) -> Result<i64, StoreError> {
        self.int_or_null(i)?.ok_or_else(|| StoreError::Row(format!("column {i} is empty")))
    }

    /// A number that was stored from an unsigned one.
    pub fn count(&self, i: usize) -> Result<u64, StoreError> {
        Ok(self.int(i)?.cast_unsigned())
    }

    /// An instant, or none.
    pub fn at_or_null(&self, i: usize) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.int_or_null(i)?.map(Timestamp))
    }

    /// An instant.
    pub fn at(&self, i: usize) -> Result<Timestamp, StoreError> {
        self.int(i).map(Timestamp)
    }

    /// A text, or none.
    pub fn text_or_null(&self, i: usize) -> Result<Option<&str>, StoreError> {
        match self.get(i)? {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            Value::Int(_) => Err(StoreError::Row(format!("column {i} is not text"))),
        }
    }

    /// A text.
    pub fn text(&self, i: usize) -> Result<&str, StoreError> {
        self.text_or_null(i)?.ok_or_else(|| StoreError::Row(format!("column {i} is empty")))
    }

    /// What the text of a column says: a name, a key, an id.
    pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&self, i: usize) -> Result<T, StoreError> {
        self.text(i)?.parse().map_err(|e| StoreError::Row(format!("column {i}: {e}")))
    }

    /// What the JSON of a column says.
    pub fn json<T: DeserializeOwned>(&self, i: usize) -> Result<T, StoreError> {
        read_json(self.text(i)?)
    }
}

/// The JSON text of a value. An object carries the format number.
pub(super) fn write_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    let mut text = serde_json::to_string(value).map_err(|e| StoreError::Refused(e.to_string()))?;
    if text.starts_with("{\"") {
        text.replace_range(..1, HEAD);
    }
    Ok(text)
}

/// Reads what [`write_json`] wrote, and what versions without a format number wrote.
pub(super) fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    let unreadable = |error: serde_json::Error| StoreError::Row(error.to_string());
    if let Some(rest) = text.strip_prefix(HEAD) {
        return serde_json::from_str(&format!("{{{rest}")).map_err(unreadable);
    }
    if !text.contains("\"format\"") {
        return serde_json::from_str(text).map_err(unreadable);
    }
    let mut value: serde_json::Value = serde_json::from_str(text).map_err(unreadable)?;
    let format = value.as_object_mut().and_then(|fields| fields.remove("format"));
    if let Some(format) = format.filter(|format| format.as_u64().is_none_or(|format| format > u64::from(FORMAT))) {
        let why = format!("a later version of Olog wrote it (format {format}; this version reads up to {FORMAT})");
        return Err(StoreError::Row(why));
    }
    serde_json::from_value(value).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Default, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Facts {
        n: u64,
    }

    #[test]
    fn an_object_is_stored_with_its_format_and_read_back() {
        assert_eq!(write_json(&Facts { n: 7 }).unwrap(), "{\"format\":1,\"n\":7}");
        assert_eq!(write_json(&[1, 2]).unwrap(), "[1,2]");
        assert!(HEAD.contains(&FORMAT.to_string()));
        let text = write_json(&Facts { n: 7 }).unwrap();
        assert_eq!(read_json::<Facts>(&text).unwrap(), Facts { n: 7 });
    }

    #[test]
    fn a_value_without_a_format_is_read_and_one_of_a_later_format_is_not() {
        let table = [
            ("{\"n\":7}", Some(7)),
            ("{}", Some(0)),
            ("{\"n\":7, \"format\": 1}", Some(7)),
            ("{\"format\": 2, \"n\": 7}", None),
            ("{\"format\": \"x\", \"n\": 7}", None),
            ("{\"format\":1,\"n\":7,\"later\":1}", None),
            ("{\"later\":1}", None),
            ("not JSON", None),
            ("", None),
        ];
        for (text, n) in table {
            let read = read_json::<Facts>(text);
            assert_eq!(read.as_ref().ok().map(|facts| facts.n), n, "{text}: {read:?}");
            assert!(n.is_some() || matches!(read, Err(StoreError::Row(_))), "{text}");
        }
        assert_eq!(read_json::<Vec<String>>("[\"format\"]").unwrap(), ["format"]);
    }
}
