//! Prompts as they flow along `WANVIDEOTEXTEMBEDS` links.

use vita_pipeline::{NagPrompt, TextRows};

/// What should be seen, and what should not.
#[derive(Clone, Debug)]
pub struct TextEmbeds {
    /// What should be seen.
    pub positive: TextRows,
    /// What should not; a node may leave it out.
    pub negative: Option<TextRows>,
    /// Where the prompt has sections, which lead equal parts of a long video: all of them, the first one too.
    pub sections: Vec<TextRows>,
    /// What the attention to the prompt is led away from.
    pub nag: Option<NagPrompt>,
}
