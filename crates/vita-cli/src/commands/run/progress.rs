//! Progress of a workflow on stderr: which node runs, and how far it is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value as Json;
use vita_graph::{Event, Observer, Registry};

use crate::progress::{LINE_EVERY, TICK, left_text};
use crate::terminal;

/// Shows the events of a run: a bar on a terminal, lines elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    titles: HashMap<String, String>,
    /// When the node that runs began, and when it was last told of.
    began: Instant,
    said: Duration,
}

impl Progress {
    /// A bar where stderr is a terminal that nothing else writes to.
    pub fn new(has_bar: bool, prompt: &Json, registry: &Registry) -> Self {
        let bar = has_bar.then(|| {
            let bar = ProgressBar::new(0);
            bar.set_style(style());
            bar
        });
        let nodes = prompt.as_object().into_iter().flatten();
        let titles = nodes.map(|(id, node)| (id.clone(), title(id, node, registry))).collect();
        Self { bar, titles, began: Instant::now(), said: Duration::ZERO }
    }

    /// Takes the bar away; may be called from any thread.
    pub fn eraser(&self) -> impl Fn() + Send + 'static {
        let bar = self.bar.clone();
        move || bar.iter().for_each(ProgressBar::finish_and_clear)
    }

    fn title<'a>(&'a self, node: &'a str) -> &'a str {
        self.titles.get(node).map_or(node, String::as_str)
    }

    fn started(&mut self, node: &str) {
        (self.began, self.said) = (Instant::now(), Duration::ZERO);
        match &self.bar {
            Some(bar) => {
                bar.set_prefix(self.title(node).to_owned());
                bar.set_message("");
                bar.set_length(1);
                bar.set_position(0);
                bar.reset_elapsed();
                bar.enable_steady_tick(TICK);
            }
            None => terminal::note(self.title(node)),
        }
    }

    fn progress(&mut self, node: &str, value: u64, total: u64) {
        let elapsed = self.began.elapsed();
        let left = left_text(value as usize, total as usize, elapsed);
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(value);
                bar.set_message(left.unwrap_or_default());
            }
            None if elapsed >= self.said + LINE_EVERY => {
                let left = left.map_or_else(String::new, |left| format!(", {left}"));
                terminal::note(&format!("{} {value}/{total}{left}", self.title(node)));
                self.said = elapsed;
            }
            None => {}
        }
    }

    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| terminal::note(line)),
            None => terminal::note(line),
        }
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Started { node } => self.started(node),
            Event::Progress { node, value, total } => self.progress(node, value, total),
            Event::Text { node, text } => self.say(&format!("{}: {text}", self.title(node))),
            Event::Cached(_) | Event::Preview { .. } | Event::Executed { .. } | Event::Finished { .. } => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.eraser()();
    }
}

/// "KSampler (3)": what the page calls a node, and its id.
fn title(id: &str, node: &Json, registry: &Registry) -> String {
    let class = node["class_type"].as_str().unwrap_or("node");
    let shown = || registry.spec(class).and_then(|spec| spec.display_name);
    let title = node.pointer("/_meta/title").and_then(Json::as_str).or_else(shown).unwrap_or(class);
    format!("{title} ({id})")
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:>24} {bar:30} {pos}/{len}  {elapsed}  {msg}")
        .expect("a template that is right once is right always")
        .progress_chars("━╸ ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_template_is_right() {
        style();
    }

    #[test]
    fn nodes_are_called_as_on_the_page() {
        let registry = vita_nodes::registry();
        for (node, want) in [
            (json!({"class_type": "VAEDecode", "_meta": {"title": "Decode"}}), "Decode (8)"),
            (json!({"class_type": "VAEDecode"}), "VAE Decode (8)"),
            (json!({"class_type": "Unknown"}), "Unknown (8)"),
            (json!(1), "node (8)"),
        ] {
            assert_eq!(title("8", &node, &registry), want);
        }
    }
}
