//! The few kinds of BSON values that headers of an archive hold (bsonspec.org, version 1.1), top level only.

use std::collections::BTreeMap;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A string.
    Text(String),
    /// A 32 or 64 bit number.
    Number(i64),
    /// True or false.
    Truth(bool),
}

/// The fields of a document; its length was checked before.
///
/// # Errors
/// It is no BSON, or holds another kind of value: headers do not.
pub(super) fn fields(document: &[u8]) -> Result<BTreeMap<String, Value>, String> {
    let mut rest = document.get(4..).ok_or("a document is too short")?;
    let mut fields = BTreeMap::new();
    loop {
        let kind = take(&mut rest, 1)?[0];
        if kind == 0 {
            return if rest.is_empty() { Ok(fields) } else { Err("a document ends early".into()) };
        }
        let end = rest.iter().position(|byte| *byte == 0).ok_or("a field has no name")?;
        let name = text(take(&mut rest, end)?)?;
        take(&mut rest, 1)?;
        let value = match kind {
            0x02 => {
                let length = usize::try_from(number32(&mut rest)?).ok().filter(|length| *length > 0).ok_or("a string has no length")?;
                let value = text(take(&mut rest, length - 1)?)?;
                if take(&mut rest, 1)? != [0] {
                    return Err("a string has no end".into());
                }
                Value::Text(value)
            }
            0x08 => match take(&mut rest, 1)?[0] {
                0 => Value::Truth(false),
                1 => Value::Truth(true),
                other => return Err(format!("{other} is neither true nor false")),
            },
            0x10 => Value::Number(number32(&mut rest)?.into()),
            0x12 => Value::Number(i64::from_le_bytes(take(&mut rest, 8)?.try_into().map_err(|_| "a number is short")?)),
            other => return Err(format!("a header has a field of kind {other}")),
        };
        fields.insert(name, value);
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], String> {
    let (taken, left) = rest.split_at_checked(count).ok_or("a document is cut")?;
    *rest = left;
    Ok(taken)
}

fn number32(rest: &mut &[u8]) -> Result<i32, String> {
    Ok(i32::from_le_bytes(take(rest, 4)?.try_into().map_err(|_| "a number is short")?))
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a header is no text".into())
}
