//! A prompt as the transformer takes it: one row a token.

use vita_models::wan;
use vita_tensor::Tensor;

use crate::Error;

/// A prompt's embedding. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TextRows {
    /// `[n, C]`, without the zeros that pad it.
    rows: Tensor,
    /// Rows of zeros that follow.
    padding: usize,
}

impl TextRows {
    /// rows: `[n, C]`, padded to 512 tokens with zeros; more rows are not cut.
    pub fn new(rows: Tensor) -> Self {
        let padding = wan::Config::TEXT_LEN.saturating_sub(rows.dims()[0]);
        Self { rows, padding }
    }

    /// padded: `[S, C]`; the rows of nothing but zeros at its end are padding, and no more is added.
    pub fn from_padded(padded: &Tensor) -> Self {
        let [count, width] = padded.sizes();
        let values = vita_ops::to_f32(padded);
        let is_zero = |row: &usize| values.f32s()[row * width..][..width].iter().all(|&value| value == 0.0);
        let padding = (0..count).rev().take_while(is_zero).count();
        Self { rows: values.narrow(0, 0, count - padding), padding }
    }

    /// `[n, C]`, without padding.
    pub fn rows(&self) -> &Tensor {
        &self.rows
    }

    /// Width of a row.
    pub fn width(&self) -> usize {
        self.rows.dims()[1]
    }

    /// As many rows of nothing but zeros: ComfyUI's `ConditioningZeroOut`.
    #[must_use]
    pub fn zeroed(&self) -> Self {
        Self { rows: Tensor::zeros([0, self.width()]), padding: self.padding + self.rows.dims()[0] }
    }

    /// Every value times a weight.
    #[must_use]
    pub fn scaled(&self, weight: f32) -> Self {
        if weight == 1.0 || self.rows.element_count() == 0 {
            return self.clone();
        }
        Self { rows: vita_ops::combine(&[(weight, &self.rows)]), padding: self.padding }
    }

    /// Keys that the prompt takes in an attention: its rows, and one for all padding.
    pub(crate) fn key_count(&self) -> usize {
        self.rows.dims()[0] + usize::from(self.padding > 0)
    }

    pub(crate) fn prompt(&self) -> Result<wan::Prompt, Error> {
        Ok(wan::Prompt::new(&self.rows, self.padding)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_one_key_and_zeros_are_nothing_but_padding() {
        let rows = TextRows::new(Tensor::from_vec(vec![1.0; 6], [3, 2]));
        assert_eq!((rows.key_count(), rows.width()), (4, 2));
        assert_eq!(rows.scaled(0.5).rows().to_vec(), [0.5; 6]);
        let zeroed = rows.zeroed();
        assert_eq!((zeroed.key_count(), zeroed.padding), (1, 512));
        assert_eq!(zeroed.prompt().unwrap().key_count(), 1);
        assert_eq!(TextRows::new(Tensor::zeros([512, 2])).key_count(), 512);
        let padded = TextRows::from_padded(&Tensor::from_vec(vec![1.0, 0.0, 0.0, 0.0], [2, 2]));
        assert_eq!((padded.rows().to_vec(), padded.padding), (vec![1.0, 0.0], 1));
        assert_eq!(TextRows::new(Tensor::zeros([600, 2])).prompt().unwrap().key_count(), 600);
    }
}
