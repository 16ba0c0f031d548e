//! Where a workflow comes from: a file of JSON, or what a picture or video says of its making.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde_json::Value as Json;
use vita_base::Report;
use vita_graph::{Registry, from_page, is_page};

use crate::commands::generate;

/// A workflow in one form or in both.
#[derive(Debug)]
pub struct Source {
    /// In API format.
    prompt: Option<Json>,
    /// As the page saves it.
    page: Option<Json>,
}

/// Far above any workflow, also one with pictures inside.
const JSON_BYTES_MAX: u64 = 256 << 20;

/// Reads a workflow; `-` is stdin.
///
/// # Errors
/// If the file cannot be read, or holds no workflow.
pub fn read(path: &Path) -> Result<Source, Report> {
    let name = path.display().to_string();
    if path == Path::new("-") {
        return of_json(&text("stdin", io::stdin())?, "stdin");
    }
    let mut file = File::open(path).map_err(|error| cannot_read(&name, &error))?;
    let mut start = [0; 16];
    let count = file.read(&mut start).map_err(|error| cannot_read(&name, &error))?;
    let start = start[..count].strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start[..count]);
    if start.iter().find(|byte| !byte.is_ascii_whitespace()).is_none_or(|&byte| byte == b'{' || byte == b'[') {
        let file = File::open(path).map_err(|error| cannot_read(&name, &error))?;
        return of_json(&text(&name, file)?, &name);
    }
    of_metadata(path, &name)
}

impl Source {
    /// The workflow in API format. What a file says it was made by comes before what its page looked like.
    ///
    /// # Errors
    /// If the page's form cannot be converted.
    pub fn prompt(&self, registry: &Registry) -> Result<Json, Report> {
        match (&self.prompt, &self.page) {
            (Some(prompt), _) => Ok(prompt.clone()),
            (None, Some(page)) => Ok(from_page(registry, page)?),
            (None, None) => unreachable!("a source has a form"),
        }
    }

    /// The workflow as the page saves it, if it is known.
    pub fn workflow(&self) -> Option<&Json> {
        self.page.as_ref()
    }
}

fn cannot_read(name: &str, error: &io::Error) -> Report {
    Report::new(format!("cannot read `{name}`: {error}"))
}

fn text(name: &str, input: impl Read) -> Result<String, Report> {
    let mut bytes = Vec::new();
    input.take(JSON_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| cannot_read(name, &error))?;
    if bytes.len() as u64 > JSON_BYTES_MAX {
        return Err(no_workflow(name, "it is larger than any"));
    }
    String::from_utf8(bytes).map_err(|_| no_workflow(name, "it is no text in UTF-8"))
}

fn of_json(text: &str, name: &str) -> Result<Source, Report> {
    let json = parse(text, name)?;
    if is_page(&json) {
        return Ok(Source { prompt: None, page: Some(json) });
    }
    let Json::Object(mut object) = json else {
        return Err(no_workflow(name, "it is no JSON object"));
    };
    // The body of a request, as a client sends it: its prompt, and perhaps the page behind it.
    let is_request =
        object.get("prompt").is_some_and(|prompt| prompt.is_object() && prompt.get("class_type").is_none());
    if !is_request {
        return Ok(Source { prompt: Some(Json::Object(object)), page: None });
    }
    let mut extra = object.remove("extra_data").unwrap_or(Json::Null);
    let page = extra.pointer_mut("/extra_pnginfo/workflow").map(Json::take).filter(is_page);
    Ok(Source { prompt: object.remove("prompt"), page })
}

fn of_metadata(path: &Path, name: &str) -> Result<Source, Report> {
    let metadata = vita_media::read_metadata(path)?;
    let find = |key: &str| metadata.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, text)| text);
    let json = |key: &str| find(key).map(|text| parse(text, &format!("{name}, {key}"))).transpose();
    let source = Source { prompt: json("prompt")?.filter(Json::is_object), page: json("workflow")?.filter(is_page) };
    if source.prompt.is_some() || source.page.is_some() {
        return Ok(source);
    }
    if find(generate::METADATA_KEY).is_some() {
        return Err(no_workflow(name, "it was made by `vitascope generate`")
            .with_hint(format!("`vitascope inspect {name}` says with which settings")));
    }
    Err(no_workflow(name, "it does not say what made it"))
}

fn no_workflow(name: &str, why: &str) -> Report {
    Report::new(format!("`{name}` holds no workflow: {why}"))
        .with_hint("give a workflow that the page has saved or exported, or a picture or video with its metadata")
}

fn parse(text: &str, name: &str) -> Result<Json, Report> {
    let text = without_python_numbers(text.trim_start_matches('\u{feff}'));
    serde_json::from_str(&text).map_err(|error| no_workflow(name, &error.to_string()))
}

/// Python writes `NaN` and `Infinity`, which JSON does not have; ComfyUI leaves them in what it embeds.
fn without_python_numbers(text: &str) -> Cow<'_, str> {
    const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    if !text.contains("NaN") && !text.contains("Infinity") {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(letter) = rest.chars().next() {
        if !in_string && let Some(word) = WORDS.iter().find(|word| rest.starts_with(**word)) {
            clean.push_str("null");
            rest = &rest[word.len()..];
            continue;
        }
        let length = match letter {
            // What is escaped never ends a string.
            '\\' if in_string => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => letter.len_utf8(),
        };
        in_string ^= letter == '"';
        clean.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    clean.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn python_numbers_are_nothing_and_texts_stay() {
        for (text, want) in [
            ("{}", json!({})),
            ("[NaN, -Infinity, Infinity, 1]", json!([null, null, null, 1])),
            (r#"{"a NaN": "NaN \" NaN", "b": NaN}"#, json!({"a NaN": "NaN \" NaN", "b": null})),
            (r#"["\\", NaN, "é NaN"]"#, json!(["\\", null, "é NaN"])),
        ] {
            assert_eq!(parse(text, "x").unwrap(), want, "{text}");
        }
        assert!(parse("[Nan]", "x").is_err() && parse("NaN\\", "x").is_err());
    }

    #[test]
    fn a_request_a_page_and_a_prompt_are_told_apart() {
        let prompt = json!({"1": {"class_type": "A", "inputs": {}}});
        let page = json!({"nodes": []});
        let request = json!({"prompt": prompt, "extra_data": {"extra_pnginfo": {"workflow": page}}});
        let named_prompt = json!({"prompt": {"class_type": "A", "inputs": {}}});
        for (json, want_prompt, want_page) in [
            (&prompt, Some(&prompt), None),
            (&page, None, Some(&page)),
            (&request, Some(&prompt), Some(&page)),
            (&named_prompt, Some(&named_prompt), None),
        ] {
            let source = of_json(&json.to_string(), "x").unwrap();
            assert_eq!((source.prompt.as_ref(), source.page.as_ref()), (want_prompt, want_page), "{json}");
        }
    }
}
