//! JSON written as CBOR (RFC 8949 §6.2), in preferred serialisation: integers and floats as short as their values allow.

use super::{Form, labels};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::{Decoder, Encoder};
use serde_json::{Number, Value};
use std::convert::Infallible;

type Result = std::result::Result<(), minicbor::encode::Error<Infallible>>;

/// A value in CBOR. `None`: it is not of that form.
pub(super) fn write(form: Form, value: &Value) -> Option<Vec<u8>> {
    let mut cbor = Encoder::new(Vec::new());
    let written = if form.is_pack() { pack(&mut cbor, value) } else { any(&mut cbor, value) };
    written.ok().map(|()| cbor.into_writer())
}

/// Records with labels (RFC 8428 §6).
fn pack(cbor: &mut Encoder<Vec<u8>>, value: &Value) -> Result {
    let no_pack = || minicbor::encode::Error::message("SenML is an array of objects");
    let records = value.as_array().ok_or_else(no_pack)?;
    cbor.array(records.len() as u64)?;
    for record in records {
        let fields = record.as_object().ok_or_else(no_pack)?;
        cbor.map(fields.len() as u64)?;
        for (name, value) in fields {
            match labels::label(name) {
                Some(label) => cbor.i64(label)?,
                None => cbor.str(name)?,
            };
            match value {
                Value::String(text) if name == labels::DATA => {
                    let data = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
                    cbor.bytes(&data.map_err(|_| no_pack())?)?;
                }
                value => any(cbor, value)?,
            }
        }
    }
    Ok(())
}

fn any(cbor: &mut Encoder<Vec<u8>>, value: &Value) -> Result {
    match value {
        Value::Null => cbor.null()?.ok(),
        Value::Bool(value) => cbor.bool(*value)?.ok(),
        Value::Number(value) => number(cbor, value),
        Value::String(text) => cbor.str(text)?.ok(),
        Value::Array(items) => {
            cbor.array(items.len() as u64)?;
            items.iter().try_for_each(|item| any(cbor, item))
        }
        Value::Object(fields) => {
            cbor.map(fields.len() as u64)?;
            fields.iter().try_for_each(|(name, value)| {
                cbor.str(name)?;
                any(cbor, value)
            })
        }
    }
}

fn number(cbor: &mut Encoder<Vec<u8>>, number: &Number) -> Result {
    if let Some(value) = number.as_u64() {
        return cbor.u64(value)?.ok();
    }
    if let Some(value) = number.as_i64() {
        return cbor.i64(value)?.ok();
    }
    let value = number.as_f64().unwrap_or(f64::NAN);
    let single = value as f32;
    if f64::from(single) != value {
        return cbor.f64(value)?.ok();
    }
    let mut half = Encoder::new(Vec::new());
    half.f16(single)?;
    let half = half.into_writer();
    if Decoder::new(&half).f16().is_ok_and(|half| half == single) {
        cbor.writer_mut().extend_from_slice(&half);
        return Ok(());
    }
    cbor.f32(single)?.ok()
}
