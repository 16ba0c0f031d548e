//! Runs the prompts of the queue with the nodes.

use std::sync::Arc;

use serde_json::Value as Json;
use vita_base::Cancel;
use vita_graph::{End, Event, Executor, Observer, Outcome, Plan, Registry};
use vita_nodes::Studio;
use vita_queue::{Job, Runner};

use crate::device::Workplace;

/// An executor and what its nodes keep loaded.
pub struct GraphRunner {
    executor: Executor,
    studio: Arc<Studio>,
    workplace: Workplace,
    note: Option<&'static str>,
}

impl GraphRunner {
    /// `note` is told with every result.
    pub fn new(registry: Registry, studio: Arc<Studio>, workplace: Workplace, note: Option<&'static str>) -> Self {
        Self { executor: Executor::new(registry, studio.clone()), studio, workplace, note }
    }
}

impl Runner for GraphRunner {
    fn run(&mut self, job: &Job, cancel: &Cancel, observer: &mut dyn Observer) -> Outcome {
        tracing::debug!("Prompt {} runs on {}.", job.id, self.workplace);
        let extra = job.extra_data.parse();
        let extra_pnginfo = extra.get("extra_pnginfo").cloned().unwrap_or(Json::Null);
        let plan = Plan { prompt: job.prompt.parse(), outputs: job.outputs.to_vec(), faults: Default::default() };
        let outcome = match self.note {
            None => self.executor.run(&plan, &extra_pnginfo, cancel, observer),
            Some(note) => {
                let mut observer = Noting { note, observer };
                let mut outcome = self.executor.run(&plan, &extra_pnginfo, cancel, &mut observer);
                outcome.outputs.values_mut().for_each(|ui| add_note(ui, note));
                outcome
            }
        };
        if let End::Failed(failure) = &outcome.end {
            let hint = failure.hint.as_deref().map(|hint| format!("; hint: {hint}")).unwrap_or_default();
            tracing::error!("Node {} ({}): {}{hint}", failure.node, failure.class, failure.message.trim_end());
        }
        outcome
    }

    fn lost(&mut self) -> Option<String> {
        let error = self.workplace.card()?.lost()?;
        Some(format!("{} no longer answers: {error}", self.workplace))
    }

    fn free(&mut self, unload_models: bool, free_memory: bool) {
        if free_memory {
            self.executor.forget();
        }
        if unload_models || free_memory {
            self.studio.residency.unload_all();
        }
    }
}

/// Adds a note to every result that passes.
struct Noting<'a> {
    note: &'a str,
    observer: &'a mut dyn Observer,
}

impl Observer for Noting<'_> {
    fn observe(&mut self, event: Event<'_>) {
        match event {
            Event::Executed { node, ui: Some(ui), cached } => {
                let mut ui = ui.clone();
                add_note(&mut ui, self.note);
                self.observer.observe(Event::Executed { node, ui: Some(&ui), cached });
            }
            event => self.observer.observe(event),
        }
    }

    fn wants_previews(&self) -> bool {
        self.observer.wants_previews()
    }
}

fn add_note(ui: &mut Json, note: &str) {
    if let Some(ui) = ui.as_object_mut() {
        ui.insert("vitascope_note".into(), serde_json::json!([note]));
    }
}
