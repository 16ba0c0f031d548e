//! A prompt on its way in and in the queue.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::{QueueError, extra_data};

/// A prompt to be queued: validated and coerced.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Names it; of two with the same name the history keeps the later one. Not empty.
    pub id: String,
    /// The workflow in API format.
    pub prompt: Json,
    /// What the client sent besides. Secrets are taken out; `create_time` is added.
    pub extra_data: Map<String, Json>,
    /// Ids of the output nodes to run.
    pub outputs: Vec<String>,
    /// Where in the queue.
    pub place: Place,
}

/// Where in the queue a prompt goes: the smallest number is run first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// After all that were put here before: the next number of the counter.
    Back,
    /// Before them: the next number of the counter, negated.
    Front,
    /// An explicit number; the counter does not advance.
    At(f64),
}

/// What a client gets for an accepted prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticket {
    /// The prompt's id.
    pub id: String,
    /// Its number; integral unless the client gave one that is not.
    pub number: f64,
}

/// A prompt in the queue or in the history. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Job {
    /// Counts accepted prompts from 1; unique, unlike the id.
    pub sequence: u64,
    /// The prompt's id.
    pub id: Arc<str>,
    /// Its priority: smallest first, equal ones by id. Never NaN, infinite or -0.
    pub number: f64,
    /// The workflow in API format.
    pub prompt: JsonText,
    /// What the client sent besides, without secrets, with `create_time`.
    pub extra_data: JsonText,
    /// Ids of the output nodes to run.
    pub outputs: Arc<[String]>,
    /// The session that hears of it, if any.
    pub client_id: Option<Arc<str>>,
    /// The page's workflow that it was made from, if any.
    pub workflow_id: Option<Arc<str>>,
    /// When it was accepted, in milliseconds since 1970.
    pub created_ms: u64,
    /// Kept in memory only; empty after a restart.
    pub secrets: Secrets,
}

/// JSON kept as the compact text it is stored and sent as: a fifth of the memory of the parsed tree.
#[derive(Clone, PartialEq, Eq)]
pub struct JsonText(Arc<str>);

/// Keys of a client that a node may need; neither stored nor shown.
#[derive(Clone, Default)]
pub struct Secrets(Option<Arc<Map<String, Json>>>);

impl Submission {
    /// The job, without a number: that is given where the order of submissions is decided.
    pub(crate) fn into_job(mut self, now_ms: u64) -> Result<(Job, Place), QueueError> {
        if self.id.is_empty() {
            return Err(QueueError::EmptyId);
        }
        if let Place::At(number) = self.place
            && !number.is_finite()
        {
            return Err(QueueError::Number(number));
        }
        let secrets = extra_data::take_secrets(&mut self.extra_data);
        self.extra_data.insert("create_time".into(), now_ms.into());
        let job = Job {
            sequence: 0,
            id: self.id.into(),
            number: 0.0,
            prompt: JsonText::of(&self.prompt),
            client_id: extra_data::client_id(&self.extra_data).map(Into::into),
            workflow_id: extra_data::workflow_id(&self.extra_data).map(Into::into),
            extra_data: JsonText::of(&Json::Object(self.extra_data)),
            outputs: self.outputs.into(),
            created_ms: now_ms,
            secrets,
        };
        Ok((job, self.place))
    }
}

impl JsonText {
    /// The text of a value.
    pub fn of(value: &Json) -> Self {
        Self(value.to_string().into())
    }

    /// Text that is known to be JSON, such as what was stored.
    pub(crate) fn trusted(text: String) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value; null if the text was damaged on disk.
    pub fn parse(&self) -> Json {
        serde_json::from_str(&self.0).unwrap_or(Json::Null)
    }
}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Secrets {
    pub(crate) fn new(secrets: Map<String, Json>) -> Self {
        Self((!secrets.is_empty()).then(|| Arc::new(secrets)))
    }

    /// The secret of a key such as `api_key_comfy_org`.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.0.as_ref()?.get(key)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "hidden" } else { "none" })
    }
}
