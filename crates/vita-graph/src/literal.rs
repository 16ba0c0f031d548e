//! Literals of a workflow: conversion to the type of their input, range, choice.

use serde_json::{Number, Value as Json};

use crate::{Host, InputFault, Kind, Live, python};

/// The literal as the type wants it, or nothing where it stays as it is.
///
/// # Errors
/// In Python's words, if there is no such conversion.
pub(crate) fn convert(kind: &Kind, value: &Json) -> Result<Option<Json>, String> {
    match kind {
        Kind::Int { range, .. } => {
            let int = python::int(value)?;
            match Number::from_i128(int) {
                Some(number) => Ok(Some(number.into())),
                // The range says so in its own words.
                None if !range.contains(&int) => Ok(Some((int as f64).into())),
                None => Err(format!("{int} does not fit into 64 bits")),
            }
        }
        Kind::Float { .. } => Ok(Some(python::float(value)?.into())),
        Kind::Text { .. } if value.is_string() => Ok(None),
        Kind::Text { .. } => Ok(Some(python::text(value).into())),
        Kind::Bool { .. } => Ok(Some(python::truth(value).into())),
        _ => Ok(None),
    }
}

/// What is wrong with a converted number, if anything.
pub(crate) fn out_of_range(live: &Live<'_>, value: &Json) -> Option<InputFault> {
    let (min, max) = match &live.field.kind {
        Kind::Int { range, .. } => {
            let int = int_of(value);
            let (min, max) = (*range.start(), *range.end());
            ((int < min).then(|| bound(min)), (int > max).then(|| bound(max)))
        }
        Kind::Float { range, .. } => {
            let float = value.as_f64().unwrap_or_default();
            let (min, max) = (*range.start(), *range.end());
            ((float < min).then(|| min.into()), (float > max).then(|| max.into()))
        }
        _ => (None, None),
    };
    let received = || value.clone();
    match (min, max) {
        (Some(min), _) => Some(InputFault::TooSmall { field: live.to_field(), received: received(), min }),
        (_, Some(max)) => Some(InputFault::TooBig { field: live.to_field(), received: received(), max }),
        _ => None,
    }
}

/// What is wrong with a choice, if anything.
pub(crate) fn not_in_list(live: &Live<'_>, value: &Json, host: &dyn Host) -> Option<InputFault> {
    let chosen = value.as_str();
    let options = match &live.field.kind {
        Kind::Combo { options, .. } if !chosen.is_some_and(|chosen| options.has(chosen, host)) => options.names(host),
        Kind::DynamicCombo { options } if !options.iter().any(|(name, _)| Some(name.as_str()) == chosen) => {
            options.iter().map(|(name, _)| name.clone()).collect()
        }
        _ => return None,
    };
    Some(InputFault::NotInList { field: live.to_field(), received: value.clone(), options })
}

/// Beyond 64 bits a whole number stands as a float.
fn int_of(value: &Json) -> i128 {
    let number = value.as_number();
    let int = number.and_then(|number| number.as_i128().or(number.as_f64().map(|float| float as i128)));
    int.unwrap_or_default()
}

fn bound(int: i128) -> Json {
    Number::from_i128(int).map_or_else(|| (int as f64).into(), Json::from)
}
