//! Workflows of nodes: parse, validate, order, cache, execute.
//!
//! A [`Registry`] of [`Node`]s is handed in: this crate knows no node, no model, no HTTP and no clock.
//! [`validate`] turns a prompt in API format into a [`Plan`] or says what is wrong with it, in ComfyUI's
//! terms; an [`Executor`] runs plans one after another on the caller's thread, keeps results between
//! them, and tells an [`Observer`] what happens. [`from_page`] makes prompts of the workflows that the page saves.
#![forbid(unsafe_code)]

mod cache;
mod call;
mod context;
mod event;
mod execute;
mod graph;
mod inputs;
mod literal;
mod live;
mod node;
mod order;
mod outcome;
mod page;
pub mod python;
mod rejection;
mod spec;
mod validate;
mod value;

pub use context::{Context, Host};
pub use event::{Event, Observer};
pub use execute::Executor;
pub use inputs::{InputError, Inputs};
pub use live::Live;
pub use node::{Node, NodeError, Outputs, Refusal, Registry};
pub use outcome::{End, Failure, Outcome};
pub use page::{PageError, from_page, is_page};
pub use rejection::{InputFault, NodeFaults, Rejection, RejectionKind};
pub use spec::{
    Field, Group, Hidden, Kind, Options, OutputSlot, Spec, Style, combo, field, files, float, int, link, seed, switch,
    text,
};
pub use validate::{Plan, validate};
pub use value::Value;
