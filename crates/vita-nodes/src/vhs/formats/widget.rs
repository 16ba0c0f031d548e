//! Widgets of a format. They are no inputs that the node declares: they come as further keys.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use vita_graph::{Inputs, NodeError, Value};

/// Something that may be set.
pub struct Widget {
    name: &'static str,
    kind: Kind,
}

enum Kind {
    Choice { of: &'static [&'static str], default: &'static str },
    Whole { default: i128, least: i128, most: i128 },
    Switch { default: bool },
}

/// One of several words.
pub const fn choice(name: &'static str, of: &'static [&'static str], default: &'static str) -> Widget {
    Widget { name, kind: Kind::Choice { of, default } }
}

/// A whole number.
pub const fn whole(name: &'static str, default: i128, least: i128, most: i128) -> Widget {
    Widget { name, kind: Kind::Whole { default, least, most } }
}

/// On or off.
pub const fn switch(name: &'static str, default: bool) -> Widget {
    Widget { name, kind: Kind::Switch { default } }
}

impl Widget {
    /// As the page wants it: name, type, options.
    pub fn described(&self) -> Json {
        match self.kind {
            Kind::Choice { of, default } if of.first() == Some(&default) => json!([self.name, of]),
            Kind::Choice { of, default } => json!([self.name, of, { "default": default }]),
            Kind::Whole { default, least, most } => {
                let [default, least, most] = [default, least, most].map(|number| number as i64);
                json!([self.name, "INT", { "default": default, "min": least, "max": most, "step": 1 }])
            }
            Kind::Switch { default } => json!([self.name, "BOOLEAN", { "default": default }]),
        }
    }

    fn default(&self) -> String {
        match self.kind {
            Kind::Choice { default, .. } => default.into(),
            Kind::Whole { default, .. } => default.to_string(),
            Kind::Switch { default } => default.to_string(),
        }
    }

    /// A value as text.
    fn read(&self, value: &Value) -> Result<String, NodeError> {
        let read = match (&self.kind, value) {
            (Kind::Choice { of, .. }, Value::Text(text)) => of.contains(&&**text).then(|| text.to_string()),
            (&Kind::Whole { least, most, .. }, Value::Int(number)) => {
                (least..=most).contains(number).then(|| number.to_string())
            }
            (&Kind::Whole { least, most, .. }, Value::Float(number)) => {
                let cut = number.trunc() as i128;
                (least..=most).contains(&cut).then(|| cut.to_string())
            }
            (&Kind::Whole { least, most, .. }, Value::Text(text)) => {
                let number = text.trim().parse::<i128>().ok();
                number.filter(|number| (least..=most).contains(number)).map(|number| number.to_string())
            }
            (Kind::Switch { .. }, Value::Bool(is_on)) => Some(is_on.to_string()),
            (Kind::Switch { .. }, Value::Int(number)) => Some((*number != 0).to_string()),
            (Kind::Switch { .. }, Value::Text(text)) => match text.to_lowercase().as_str() {
                word @ ("true" | "false") => Some(word.into()),
                _ => None,
            },
            _ => None,
        };
        let wanted = || match self.kind {
            Kind::Choice { of, .. } => format!("one of {}", of.join(", ")),
            Kind::Whole { least, most, .. } => format!("a whole number from {least} to {most}"),
            Kind::Switch { .. } => "true or false".into(),
        };
        read.ok_or_else(|| NodeError::value(format!("`{}` is {value:?}; it must be {}", self.name, wanted())))
    }
}

/// What is set, by name.
pub struct Widgets(BTreeMap<&'static str, String>);

impl Widgets {
    /// What the inputs say, and the default of what they do not say.
    ///
    /// # Errors
    /// A value that cannot be.
    pub fn read(widgets: &'static [Widget], inputs: &Inputs) -> Result<Self, NodeError> {
        let read = widgets.iter().map(|widget| {
            let value = match inputs.get(widget.name) {
                Some(value) => widget.read(value)?,
                None => widget.default(),
            };
            Ok((widget.name, value))
        });
        Ok(Self(read.collect::<Result<_, NodeError>>()?))
    }

    /// A value; empty if the format has none of that name.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A whole number; 0 if the format has none of that name.
    pub fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or(0)
    }

    /// Whether a switch is on; off if the format has none of that name.
    pub fn is_on(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    /// Whether there is a widget of that name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A text whose `{name}`s are replaced.
    pub fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_refused() {
        let with = |value: Value| {
            let mut inputs = Inputs::default();
            inputs.set("crf", vec![value]);
            Widgets::read(const { &[whole("crf", 19, 0, 100)] }, &inputs).map(|widgets| widgets.number("crf"))
        };
        assert_eq!(with(Value::Float(22.7)).unwrap(), 22);
        assert_eq!(with(Value::text("7")).unwrap(), 7);
        assert_eq!(with(Value::Null).unwrap(), 19);
        let error = with(Value::Int(101)).unwrap_err().to_string();
        assert_eq!(error, "`crf` is 101; it must be a whole number from 0 to 100");
    }
}
