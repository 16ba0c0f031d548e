//! The 32-bit Mersenne Twister (Matsumoto and Nishimura 1998), as PyTorch's CPU generator runs it.

const LEN: usize = 624;
const SHIFT: usize = 397;

/// MT19937.
#[derive(Clone)]
pub(super) struct Mersenne {
    state: [u32; LEN],
    /// Words of `state` that are used up.
    used: usize,
}

impl Mersenne {
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; LEN];
        for i in 1..LEN {
            let before = state[i - 1];
            state[i] = 1_812_433_253_u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
        }
        Self { state, used: LEN }
    }

    pub fn next_word(&mut self) -> u32 {
        if self.used == LEN {
            self.twist();
        }
        self.used += 1;
        temper(self.state[self.used - 1])
    }

    /// Each value is made of one word; the same words in the same order as [`Self::next_word`] gives.
    pub fn fill<T>(&mut self, mut out: &mut [T], value: impl Fn(u32) -> T) {
        while !out.is_empty() {
            if self.used == LEN {
                self.twist();
            }
            let count = out.len().min(LEN - self.used);
            let (now, later) = out.split_at_mut(count);
            for (out, &word) in now.iter_mut().zip(&self.state[self.used..]) {
                *out = value(temper(word));
            }
            self.used += count;
            out = later;
        }
    }

    /// In three runs, none of which reads what it has just written closer than a vector's width.
    fn twist(&mut self) {
        for i in 0..LEN - SHIFT {
            self.state[i] = twisted(self.state[i], self.state[i + 1], self.state[i + SHIFT]);
        }
        for i in LEN - SHIFT..LEN - 1 {
            self.state[i] = twisted(self.state[i], self.state[i + 1], self.state[i + SHIFT - LEN]);
        }
        self.state[LEN - 1] = twisted(self.state[LEN - 1], self.state[0], self.state[SHIFT - 1]);
        self.used = 0;
    }
}

#[inline(always)]
fn twisted(word: u32, next: u32, far: u32) -> u32 {
    let mixed = (word & 0x8000_0000) | (next & 0x7fff_ffff);
    far ^ (mixed >> 1) ^ (next & 1).wrapping_neg() & 0x9908_b0df
}

#[inline(always)]
fn temper(mut word: u32) -> u32 {
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c_5680;
    word ^= (word << 15) & 0xefc6_0000;
    word ^ (word >> 18)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C++ standard fixes the 10 000th output of `std::mt19937`, whose default seed is 5489.
    #[test]
    fn the_ten_thousandth_word_is_the_standards() {
        let mut engine = Mersenne::new(5489);
        let mut words = [0; 9_990];
        engine.fill(&mut words, |word| word);
        let last = (0..10).map(|_| engine.next_word()).last();
        assert_eq!(last, Some(4_123_659_995));
    }
}
