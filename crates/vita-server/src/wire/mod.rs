//! The JSON twins of our types, and the conversions.

pub(crate) mod history;
pub(crate) mod jobs;
pub(crate) mod logs;
pub(crate) mod node_info;
pub(crate) mod object;
pub(crate) mod prompt;
pub(crate) mod queue;
pub(crate) mod rejection;
pub(crate) mod run;
pub(crate) mod system;

use serde_json::Value as Json;

/// A number of the queue: an integer wherever it is one, since some clients read nothing else.
pub(crate) fn number(number: f64) -> Json {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX { Json::from(number as i64) } else { Json::from(number) }
}

/// Whether Python takes a value for true: clients send `1` and `"yes"` as well as `true`.
pub(crate) fn truthy(value: Option<&Json>) -> bool {
    match value {
        None | Some(Json::Null) => false,
        Some(Json::Bool(value)) => *value,
        Some(Json::Number(number)) => number.as_f64() != Some(0.0),
        Some(Json::String(text)) => !text.is_empty(),
        Some(Json::Array(items)) => !items.is_empty(),
        Some(Json::Object(members)) => !members.is_empty(),
    }
}

/// Ids in a list, whatever type they were sent as.
pub(crate) fn ids(value: Option<&Json>) -> Option<Vec<String>> {
    value?.as_array().map(|ids| ids.iter().map(vita_graph::python::text).collect())
}
