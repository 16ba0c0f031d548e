//! Prompts as they flow along `WANVIDEOTEXTEMBEDS` links.

use vita_pipeline::TextRows;

/// What should be seen, and what should not.
#[derive(Clone, Debug)]
pub struct TextEmbeds {
    /// What should be seen.
    pub positive: TextRows,
    /// What should not; a node may leave it out.
    pub negative: Option<TextRows>,
}
