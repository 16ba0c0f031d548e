//! What the queue needs to know of a client's extra data, and the secrets that must not stay in it.

use serde_json::{Map, Value as Json};

use crate::Secrets;

/// Keys that are removed before anything is stored or shown.
const SECRET_KEYS: [&str; 2] = ["auth_token_comfy_org", "api_key_comfy_org"];

/// Takes the secrets out.
pub fn take_secrets(extra_data: &mut Map<String, Json>) -> Secrets {
    let taken = SECRET_KEYS.iter().filter_map(|key| Some(((*key).to_owned(), extra_data.shift_remove(*key)?)));
    Secrets::new(taken.collect())
}

/// The session that hears of the prompt.
pub fn client_id(extra_data: &Map<String, Json>) -> Option<String> {
    extra_data.get("client_id")?.as_str().map(str::to_owned)
}

/// The page's workflow that the prompt was made from.
pub fn workflow_id(extra_data: &Map<String, Json>) -> Option<String> {
    extra_data.get("extra_pnginfo")?.get("workflow")?.get("id")?.as_str().map(str::to_owned)
}
