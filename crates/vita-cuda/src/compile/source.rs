//! The source of a kernel: its text and the names that are set for one use of it.

use std::fmt::Write;
use std::hash::{Hash, Hasher};

/// What every kernel starts with: types, loads and stores, reductions, and the instructions that C++ has no name for.
const PRELUDE: &str = include_str!("../ops/prelude.cuh");

/// A kernel's source, set up for one use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The function, `extern "C"` in the text.
    pub kernel: &'static str,
    /// The text without the prelude.
    pub text: &'static str,
    /// Names and what they stand for, in the order they are set.
    pub defines: Vec<(&'static str, String)>,
}

/// By what tells one kernel from another at little cost: every launch looks its kernel up.
impl Hash for Source {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kernel, self.text.len(), &self.defines).hash(state);
    }
}

impl Source {
    /// A source with nothing set.
    pub fn new(kernel: &'static str, text: &'static str) -> Self {
        Self { kernel, text, defines: Vec::new() }
    }

    /// Sets a name.
    #[must_use]
    pub fn define(mut self, name: &'static str, value: impl ToString) -> Self {
        self.defines.push((name, value.to_string()));
        self
    }

    /// The kernel with what is set, as people read it: `norm X=bf16 VECTORS=5`.
    pub fn title(&self) -> String {
        let mut title = self.kernel.to_owned();
        for (name, value) in &self.defines {
            write!(title, " {name}={value}").expect("text");
        }
        title
    }

    /// All that the compiler reads: what is set, the prelude, the kernel.
    pub fn full_text(&self) -> String {
        let mut text = self.definitions();
        text.push_str("#line 1 \"prelude.cuh\"\n");
        text.push_str(PRELUDE);
        text.push_str("#line 1 \"kernel.cu\"\n");
        text.push_str(self.text);
        text
    }

    fn definitions(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.defines {
            writeln!(text, "#define {name} {value}").expect("text");
        }
        text
    }
}
