//! Values and rows, as both databases understand them: integers of 64 bits, text, and nothing else. What has more
//! structure is JSON text.

use std::error::Error;

use olog_proto::At;
use rusqlite::types::{ToSqlOutput, ValueRef};
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::types::{IsNull, Type, private::BytesMut};

use super::StoreError;

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
    /// As JSON text.
    pub fn json<T: Serialize>(value: &T) -> Result<Value, StoreError> {
        serde_json::to_string(value).map(Value::Text).map_err(|e| StoreError::Refused(e.to_string()))
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
impl From<At> for Value {
    fn from(at: At) -> Value {
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
    pub fn at_or_null(&self, i: usize) -> Result<Option<At>, StoreError> {
        Ok(self.int_or_null(i)?.map(At))
    }

    /// An instant.
    pub fn at(&self, i: usize) -> Result<At, StoreError> {
        self.int(i).map(At)
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
        serde_json::from_str(self.text(i)?).map_err(|e| StoreError::Row(format!("column {i}: {e}")))
    }
}
